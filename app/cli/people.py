"""``pypicloud access …``: everybody at once, out of one backend and into another."""

from __future__ import annotations

import asyncio
import gzip
import io
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app import __version__, errors
from app.access import exchange
from app.access.base import UNBOUND, People
from app.access.granting import bind_those_that_came
from app.access.hashes import is_hash
from app.access.people import differences, normalized
from app.cli import opening
from app.cli.showing import Done, Json, tell
from app.index import Index

commands = typer.Typer(
    name="access", no_args_is_help=True, help="Users, groups and grants all at once."
)
MOST = 256 * 2**20
"""Bytes of an export, once it is unpacked."""
TOLD = 200
"""Lines of what an import changed that stand in the audit trail."""
_OWNER = 0o600


@commands.command("export")
def export_people(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file, for its owner only.")
    ] = None,
) -> None:
    """Write users with their hashes, groups and grants, as PyPICloud's JSON."""
    with opening.one_line_errors():
        text = asyncio.run(_exported())
        if output is None:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
            return
        try:
            output.touch(_OWNER)
            output.write_bytes(text)
        except OSError as wrong:
            opening.fail(f"{output} cannot be written: {wrong.strerror}")
    typer.echo(f"Wrote {output}; it holds the hashes of passwords.")


@commands.command("import")
def import_people(
    file: Annotated[Path, typer.Argument(help="An export, gzipped or not; - is standard input.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring in what an export of ours or of PyPICloud 1 holds: all of it, or nothing.

    Adds what is missing and sets what differs. Nobody is removed, and passwords of users who
    are there stay.
    """
    with opening.one_line_errors():
        lines = asyncio.run(_imported(_read(file), dry_run))
    what = "would change" if dry_run else "changed"
    last = f"{len(lines)} {'thing' if len(lines) == 1 else 'things'} {what}."
    action = None if dry_run else "config.import"
    tell(Done("\n".join([*lines, last]), action, {"lines": lines, "dry_run": dry_run}), as_json)


@commands.command()
def registration(
    state: Annotated[str, typer.Argument(help="open, closed, or nothing to ask.")] = "",
    as_json: Json = False,
) -> None:
    """Let anybody register, and wait for approval; or nobody without a token."""
    if state not in ("", "open", "closed"):
        opening.fail("Registration is open or closed.", code=2)
    with opening.one_line_errors():
        now = asyncio.run(_registration(state))
    line = f"Registration is {'open' if now else 'closed'}."
    tell(Done(line, "config.change" if state else None, {"open": now}), as_json)


async def _exported() -> bytes:
    async with opening.read_access() as access, opening.open_built_index() as index:
        people = await _placed(await access.people(), index)
    counts = {
        "users": len(people.accounts),
        "groups": len(people.groups),
        "grants": sum(map(len, people.grants.values())),
    }
    await opening.note("config.export", "access", after=counts)
    return exchange.dump(people, __version__)


async def _imported(text: bytes, dry_run: bool) -> list[str]:
    return await brought(lambda open: exchange.parse(text, registration=open), dry_run=dry_run)


async def brought(read: Callable[[bool], People], *, dry_run: bool = False) -> list[str]:
    """Bring people into the access of the settings; a line for each thing that changes.

    ``read`` gives them, told whether anybody may register now.
    """
    async with opening.open_access() as access, opening.open_built_index() as index:
        before = await access.people()
        wanted = await _placed(normalized(read(before.registration), is_hash), index)
        lines = list(differences(before, wanted))
        if not dry_run:
            await access.load(wanted)
            free = [project for project, generation in wanted.grants if generation == UNBOUND]
            await bind_those_that_came(access, index.generation, free)
    if lines and not dry_run:
        facts = {"changed": len(lines), "lines": lines[:TOLD]}
        await opening.record("config.import", "access", after=facts)
    return lines


async def _placed(people: People, index: Index) -> People:
    if people.grants and not await index.ready():
        raise errors.Misconfigured("The cache is not built; run 'pypicloud reindex' first.")
    projects = {project for project, _ in people.grants}
    return exchange.placed(people, {name: await index.generation(name) for name in projects})


async def _registration(state: str) -> bool:
    async with opening.open_access() as access:
        if state:
            await access.set_registration(state == "open")
        now = await access.registration()
    if state:
        await opening.record("config.change", "registration", after={"open": now})
    return now


def _read(file: Path) -> bytes:
    try:
        raw = sys.stdin.buffer.read(MOST + 1) if str(file) == "-" else file.read_bytes()
        if raw.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(raw)) as packed:
                raw = packed.read(MOST + 1)
    except (OSError, EOFError, zlib.error) as wrong:
        opening.fail(f"{file} cannot be read ({type(wrong).__name__}).")
    if len(raw) > MOST:
        opening.fail(f"{file} is too large to be an export.", code=2)
    return raw
