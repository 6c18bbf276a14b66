"""``pypicloud audit …``: the audit trail, verified, exported, listed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from app import errors
from app.access import trail
from app.access.ledger import Entry
from app.cli import opening, showing
from app.cli.showing import Done, Json, tell

commands = typer.Typer(
    name="audit", no_args_is_help=True, help="The audit trail: verify, export, list."
)

After = Annotated[int, typer.Option(min=0, help="Only entries with a higher number.")]


@commands.command()
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="An export to verify instead of the ledger.")
    ] = None,
    known: Annotated[
        str | None,
        typer.Option(
            "--known", metavar="NUMBER:HEAD", help="An entry noted before, which must be there."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """See whether every entry is there, and says what it said when it was written.

    Prints the newest number and head; noted elsewhere, they show later that the end of the
    trail was not cut off. The exit code is 1 where something is wrong.
    """
    with opening.one_line_errors():
        verdict, met = asyncio.run(_verify(file, known))
    flaw = verdict.flaw
    if flaw is None and known is not None and not met:
        flaw = f"entry {known.partition(':')[0]} is not that one"
    if flaw is None or as_json:
        line = f"{verdict.entries} entries, whole. {verdict.entries}:{verdict.head}"
        facts = {"entries": verdict.entries, "head": verdict.head, "flaw": flaw}
        tell(Done(line, None, facts), as_json)
    if flaw is not None:
        opening.fail(f"The trail is not whole: {flaw}.")


@commands.command()
def export(after: After = 0) -> None:
    """Print entries as lines of JSON."""
    with opening.one_line_errors():
        asyncio.run(_export(after))


@commands.command("list")
def list_entries(
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    action: Annotated[str | None, typer.Option(help="Such as token.create.")] = None,
    actor: Annotated[str | None, typer.Option(help="KIND:ID, such as user:alice.")] = None,
    target: Annotated[str | None, typer.Option(help="Such as token:ID.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List entries, oldest first."""
    asked = {"action": action, "actor": actor, "target": target}
    equal = {name: value for name, value in asked.items() if value is not None}
    with opening.one_line_errors():
        found = asyncio.run(_listed(after, limit, equal))
    if as_json:
        typer.echo(f"[{', '.join(trail.packed(entry).decode() for entry in found)}]")
        return
    head = ("number", "time", "action", "actor", "target", "outcome", "address")
    showing.table(head, map(_row, found), aligned=False)


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        str(entry.number),
        f"{entry.time:%Y-%m-%d %H:%M:%S}",
        entry.action,
        trail.named(entry.actor) or "-",
        entry.target or "-",
        entry.outcome,
        entry.address or "-",
    )


async def _verify(file: Path | None, known: str | None) -> tuple[trail.Verdict, bool]:
    met = False

    async def watched(entries: AsyncIterator[Entry]) -> AsyncIterator[Entry]:
        nonlocal met
        async for entry in entries:
            met = met or f"{entry.number}:{entry.head}" == known
            yield entry

    if file is not None:
        return await trail.verify(watched(_read(file))), met
    async with opening.open_ledger() as (_, ledger):
        return await trail.verify(watched(ledger.trail.entries())), met


async def _read(file: Path) -> AsyncIterator[Entry]:
    try:
        lines = await asyncio.to_thread(lambda: file.read_bytes().splitlines())
    except OSError as error:
        raise errors.Misconfigured(f"{file} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines, 1):
        try:
            entry = trail.unpacked(line)
        except (ValueError, KeyError, TypeError):
            raise errors.Invalid(f"Line {number} of {file} is no entry.") from None
        yield entry


async def _export(after: int) -> None:
    async with opening.open_ledger() as (_, ledger):
        async for entry in ledger.trail.entries(after=after):
            sys.stdout.write(trail.packed(entry).decode() + "\n")


async def _listed(after: int, limit: int, equal: dict[str, str]) -> list[Entry]:
    async with opening.open_ledger() as (_, ledger):
        return [entry async for entry in ledger.trail.entries(after=after, limit=limit, **equal)]
