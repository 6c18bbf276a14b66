"""``pypicloud adopt``: take in what PyPICloud 1 left in a bucket or a folder."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app import config, errors
from app.cli import opening
from app.cli.showing import bar as showing
from app.cli.showing import plain
from app.index.adopt import Adoption, Outcome
from app.storage import keys
from app.storage.base import Storage
from app.upload.inspection import inspectors

WORDS = {
    "adopted": "adopted",
    "adoptable": "would be adopted",
    "known": "adopted before",
    "copy": "copies",
    "left": "left alone",
}
"""The states of outcomes, as the last line counts them."""
Say = Callable[[Outcome], None]


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
        counts = asyncio.run(adopted(prefix, apply=apply, say=as_lines if as_json else say))
        if counts["adopted"]:
            asyncio.run(opening.note("adopt", prefix and f"key:{prefix}", after=dict(counts)))
    if as_json:
        typer.echo(json.dumps({"applied": apply, **{state: counts[state] for state in WORDS}}))
    else:
        typer.echo(counted(counts))
        if counts["adoptable"]:
            typer.echo("Nothing was written; adopt with --apply.")
    if counts["left"]:
        raise typer.Exit(1)


async def adopted(prefix: str, *, apply: bool, say: Say) -> Counter[str]:
    """Adopt what lies in the storage of the settings; how many keys ended in which state."""
    try:
        keys.check_prefix(prefix)
    except ValueError:
        raise errors.Invalid(f"No key begins with {prefix!r:.100}.") from None
    async with _applied(prefix) if apply else _tried(prefix) as adoption:
        return await followed(adoption, say)


async def followed(adoption: Adoption, say: Say) -> Counter[str]:
    """Run an adoption, and tell what becomes of each key; how many ended in which state."""
    counts: Counter[str] = Counter()
    progress = adoption.progress
    with showing() as bar:
        task = bar.add_task("Listing the storage", total=None)
        async with aclosing(adoption.run()) as outcomes:
            async for outcome in outcomes:
                counts[outcome.state] += 1
                say(outcome)
                bar.update(
                    task,
                    description=f"{progress.keys} of {progress.found.keys} keys",
                    completed=progress.size,
                    total=progress.found.size,
                )
    return counts


def trial(storage: Storage, prefix: str) -> Adoption:
    """An adoption that writes nothing."""
    return Adoption(storage, prefix=prefix)


def counted(counts: Mapping[str, int]) -> str:
    """The counts in words."""
    told = [f"{counts[state]} {words}" for state, words in WORDS.items() if counts.get(state)]
    return f"{', '.join(told) or 'Nothing to adopt'}."


@asynccontextmanager
async def _tried(prefix: str) -> AsyncIterator[Adoption]:
    """A trial; it opens nothing but the storage."""
    async with opening.open_storage(config.load()) as storage:
        yield trial(storage, prefix)


@asynccontextmanager
async def _applied(prefix: str) -> AsyncIterator[Adoption]:
    settings = config.load()
    await asyncio.to_thread(make_spool, settings.spool)
    async with opening.open_index() as index, inspectors(count=settings.inspectors) as pool:
        yield await index.adopt(
            pool, spool=settings.spool, operator=opening.operator(), prefix=prefix
        )


def make_spool(spool: Path) -> None:
    """Make the directory where bytes are laid down meanwhile; errors.Misconfigured."""
    try:
        spool.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{config.variable('spool')}: {spool} cannot be used: {error.strerror}"
        raise errors.Misconfigured(reason) from error


def as_lines(outcome: Outcome) -> None:
    """Everything, as one JSON object."""
    typer.echo(json.dumps(asdict(outcome)))


def say(outcome: Outcome) -> None:
    """For people, only what they may want to act on."""
    if outcome.reason is not None:
        typer.echo(plain(f"{WORDS[outcome.state]}: {outcome.key}: {outcome.reason}"))
    for note in outcome.notes:
        typer.echo(plain(f"note: {outcome.key}: {note}"))
