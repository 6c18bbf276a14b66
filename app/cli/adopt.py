"""``pypicloud adopt``: take in what PyPICloud 1 left in a bucket or a folder."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from app import config, errors, plugins
from app.cli import opening
from app.index.adopt import Adoption, Outcome
from app.storage import keys
from app.upload.inspection import inspectors

WORDS = {
    "adopted": "adopted",
    "adoptable": "would be adopted",
    "known": "adopted before",
    "copy": "copies",
    "left": "left alone",
}
"""The states of outcomes, as the last line counts them."""


def adopt(
    prefix: Annotated[
        str, typer.Argument(help="What keys begin with, below the storage's own; none: all.")
    ] = "",
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Adopt, or only say what would be.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, the last the counts.")
    ] = False,
) -> None:
    """Take in the files that PyPICloud 1 left in the storage, where they lie.

    Nothing is written without --apply. It may run beside the service, and again: it goes on
    where it was interrupted. Ends with 1 when something had to be left alone.
    """
    with opening.one_line_errors():
        counts = asyncio.run(_adopt(prefix, apply=apply, as_json=as_json))
    if as_json:
        typer.echo(json.dumps({"applied": apply, **{state: counts[state] for state in WORDS}}))
    else:
        told = [f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state]]
        typer.echo(f"{', '.join(told) or 'Nothing to adopt'}.")
        if counts["adoptable"]:
            typer.echo("Nothing was written; adopt with --apply.")
    if counts["left"]:
        raise typer.Exit(1)


async def _adopt(prefix: str, *, apply: bool, as_json: bool) -> Counter[str]:
    try:
        keys.check_prefix(prefix)
    except ValueError:
        raise errors.Invalid(f"No key begins with {prefix!r:.100}.") from None
    counts: Counter[str] = Counter()
    async with _applied(prefix) if apply else _tried(prefix) as adoption:
        progress = adoption.progress
        with _bar() as bar:
            task = bar.add_task("Listing the storage", total=None)
            async with aclosing(adoption.run()) as outcomes:
                async for outcome in outcomes:
                    counts[outcome.state] += 1
                    _say(outcome, as_json=as_json)
                    bar.update(
                        task,
                        description=f"{progress.keys} of {progress.found.keys} keys",
                        completed=progress.size,
                        total=progress.found.size,
                    )
    return counts


@asynccontextmanager
async def _tried(prefix: str) -> AsyncIterator[Adoption]:
    """A trial; it opens nothing but the storage."""
    settings = config.load()
    connect = plugins.backend("storage", settings.storage)
    async with connect(settings.storage, settings.storage_options) as storage:
        yield Adoption(storage, prefix=prefix)


@asynccontextmanager
async def _applied(prefix: str) -> AsyncIterator[Adoption]:
    settings = config.load()
    await asyncio.to_thread(_make, settings.spool)
    async with opening.open_index() as index, inspectors(count=settings.inspectors) as pool:
        yield await index.adopt(
            pool, spool=settings.spool, operator=opening.operator(), prefix=prefix
        )


def _make(spool: Path) -> None:
    try:
        spool.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{config.variable('spool')}: {spool} cannot be used: {error.strerror}"
        raise errors.Misconfigured(reason) from error


def _say(outcome: Outcome, *, as_json: bool) -> None:
    """Everything as JSON; for people only what they may want to act on."""
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
        return
    if outcome.reason is not None:
        typer.echo(_plain(f"{WORDS[outcome.state]}: {outcome.key}: {outcome.reason}"))
    for note in outcome.notes:
        typer.echo(_plain(f"note: {outcome.key}: {note}"))


def _plain(line: str) -> str:
    """The line with what is not printable escaped: keys are whatever somebody wrote."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in line
    )


def _bar() -> Progress:
    """Shown on a terminal only, on standard error; standard output may go elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        disable=not console.is_terminal,
    )
