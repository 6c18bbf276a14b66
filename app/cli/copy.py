"""``pypicloud copy``: everything in one storage into another."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app import config, errors
from app.cli import opening
from app.cli.adopt import make_spool
from app.cli.copying import Copy, Outcome
from app.cli.migrating.files import copied
from app.cli.showing import plain
from app.config import Settings

WORDS = {"copied": "copied", "there": "there already", "damaged": "damaged", "differs": "different"}


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A storage, as in the settings.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Another one.")],
    source_config: Annotated[
        Path | None,
        typer.Option(help="A file of settings whose options of the storage are those of FROM."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare the bytes of what is there already.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Copy everything in one storage into another, the journal last, each hash verified.

    FROM is only listed and read. It may run beside the service, be interrupted and run again: it
    goes on, and copies what came since. Ends with 1 when something is damaged, or different there.
    """
    with opening.one_line_errors():
        counts, wrong = asyncio.run(_copy(source, target, source_config, deep))
    if as_json:
        typer.echo(
            json.dumps(
                {**{word: counts[word] for word in WORDS}, "wrong": [asdict(one) for one in wrong]}
            )
        )
    else:
        for one in wrong:
            typer.echo(plain(f"{WORDS[one.state]}: {one.key}: {one.reason}"))
        told = [f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state]]
        typer.echo(f"{', '.join(told) or 'Nothing to copy'}.")
    if wrong:
        raise typer.Exit(1)


async def _copy(
    source: str, target: str, source_config: Path | None, deep: bool
) -> tuple[Counter[str], list[Outcome]]:
    settings = config.load()
    there = settings.model_copy(update={"storage": target})
    here = (_of(source_config) if source_config else settings).model_copy(
        update={"storage": source}
    )
    if here.storage == there.storage and source_config is None:
        raise errors.Invalid("FROM and TO are the same storage.")
    await asyncio.to_thread(make_spool, settings.spool)
    async with opening.open_source(here) as old, opening.open_storage(there) as new:
        return await copied(Copy(old, new, settings.spool, deep=deep))


def _of(file: Path) -> Settings:
    """The settings of a file, where no variable says otherwise."""
    before = os.environ.get(config.CONFIG)
    os.environ[config.CONFIG] = str(file)
    try:
        return config.load()
    finally:
        del os.environ[config.CONFIG]
        if before is not None:
            os.environ[config.CONFIG] = before
