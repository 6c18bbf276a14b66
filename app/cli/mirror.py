"""``pypicloud mirror``: keep projects of upstreams whole, and carry them over an air gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from app import errors
from app.cli import opening
from app.cli.showing import spinner
from app.upstream import parcels, tidying, wishes
from app.upstream.mirroring import Done, Mirroring
from app.upstream.parcels import Carried
from app.upstream.wishes import Choice, Wish

commands = typer.Typer(
    name="mirror", help="Keep projects of upstreams whole for offline use.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@commands.command()
def sync(
    projects: Annotated[
        list[str] | None,
        typer.Argument(help="Requirements such as 'demo[fast]>=1', or patterns such as 'acme-*'."),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("-r", "--requirement", help="A requirements or lock file; may be repeated."),
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree/--no-tree", help="Keep what releases depend on, too.")
    ] = True,
    newest: Annotated[
        int | None, typer.Option("--newest", min=1, help="So many releases of each, not all.")
    ] = None,
    platforms: Annotated[
        list[str] | None,
        typer.Option("--platform", help="Tags of wheels to keep: 'manylinux*_x86_64'; all else."),
    ] = None,
    sdists: Annotated[bool, typer.Option("--sdists/--no-sdists", help="Keep sdists.")] = True,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Files at once.")] = 4,
    as_json: Json = False,
) -> None:
    """Fetch and keep files of upstreams; what is kept already is not fetched again.

    Rules hold, and names of ours are never asked. Run it again after an interruption: it goes
    on. Ends with 1 when something could not be kept.
    """
    choice = Choice(newest=newest, platforms=tuple(platforms or ()), sdists=sdists)
    with opening.one_line_errors():
        wished = [(wishes.wish(text), tree) for text in projects or ()]
        for path in files or ():
            listed = wishes.read(path)
            wished += [(wish, tree and not listed.whole) for wish in listed.wishes]
        if not wished:
            raise errors.Invalid("Say what to keep: projects, patterns, or a file with -r.")
        done = asyncio.run(_sync(wished, choice, jobs))
        _note("sync", {k: v for k, v in asdict(done).items() if k != "failed"})
    _end(
        as_json,
        done,
        done.failed,
        f"{done.projects} projects: {done.kept} files kept ({done.bytes} bytes), {done.here} were "
        f"here, {done.refused} withheld by rules, {len(done.failed)} failed.",
    )


@commands.command("export")
def export_(
    path: Annotated[Path, typer.Argument(help="The tar archive to write.")],
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Projects, such as 'acme-*'; all else.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", help="Only what was kept since then (UTC).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write what is kept of upstreams into an archive, with their pages."""
    with opening.one_line_errors():
        carried = asyncio.run(_export(path, tuple(patterns or ("*",)), since))
    _end(
        as_json,
        carried,
        carried.left,
        f"{carried.files} files ({carried.bytes} bytes) and {carried.pages} pages.",
    )


@commands.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="An archive that export wrote.")],
    as_json: Json = False,
) -> None:
    """Take an archive in. What is kept here already stays; names of ours are left out.

    Ends with 1 when something was left out.
    """
    with opening.one_line_errors():
        carried = asyncio.run(_import(path))
        _note("import", {k: v for k, v in asdict(carried).items() if k != "left"})
    _end(
        as_json,
        carried,
        carried.left,
        f"{carried.files} files ({carried.bytes} bytes) and {carried.pages} pages taken in, "
        f"{carried.here} files were here, {len(carried.left)} left out.",
    )


@commands.command()
def clean(
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Remove, or only say what would be.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove bytes that no kept file stands for, and files under names that became ours."""
    with opening.one_line_errors():
        tidied = asyncio.run(_clean(apply))
    counts = f"{tidied.orphans} without a file, {tidied.ours} under names of ours"
    _end(as_json, tidied, [], f"{'Removed' if apply else 'Would remove'} {counts}.")


async def _sync(wished: list[tuple[Wish, bool]], choice: Choice, jobs: int) -> Done:
    async with opening.open_upstreams() as opened:
        with _telling(lambda done: f"{done.projects} projects, {done.kept} files kept") as told:
            run = Mirroring(opened.upstreams, opened.index, choice, jobs=jobs, told=told)
            for tree in (False, True):
                some = [wish for wish, its in wished if its is tree]
                if some:
                    await run.run(some, tree=tree)
            return run.done


async def _export(path: Path, patterns: tuple[str, ...], since: datetime | None) -> Carried:
    since = since and since.replace(tzinfo=since.tzinfo or UTC)
    async with opening.open_upstreams() as opened:
        with _telling(lambda carried: f"{carried.files} files, {carried.bytes} bytes") as told:
            return await parcels.pack(
                opened.upstreams, opened.storage, path, patterns=patterns, since=since, told=told
            )


async def _import(path: Path) -> Carried:
    async with opening.open_upstreams() as opened:
        with _telling(lambda carried: f"{carried.files} files, {carried.bytes} bytes") as told:
            return await parcels.Unpacking(opened.upstreams, told=told).run(path)


async def _clean(apply: bool) -> tidying.Tidied:
    async with opening.open_upstreams() as opened:
        return await tidying.tidy(opened.upstreams, opened.storage, apply=apply)


def _note(what: str, after: dict[str, Any]) -> None:
    asyncio.run(opening.note("upstream.cache", f"mirror:{what}", after=after))


def _end(as_json: bool, result: Any, failed: list[str], line: str) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(result)))
    else:
        for one in failed:
            typer.echo(one, err=True)
        typer.echo(line)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _telling(shown: Callable[[Any], str]) -> Iterator[Callable[[Any], None]]:
    """What hears of progress."""
    with spinner() as line:
        task = line.add_task("Reading")
        yield lambda so_far: line.update(task, description=shown(so_far))
