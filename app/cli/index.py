"""``pypicloud reindex`` and ``pypicloud check``: the cache, the journal and the bytes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli import opening
from app.index.check import Checked, Finding
from app.index.reindex import Progress

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def reindex(as_json: Json = False) -> None:
    """Bring the cache up to the storage, beside live traffic.

    Ends with 1 when part of the journal cannot be read.
    """
    with opening.one_line_errors():
        progress = asyncio.run(_reindex())
    if as_json:
        typer.echo(json.dumps(asdict(progress)))
    else:
        typer.echo(
            f"{progress.files} files of {progress.projects} projects; "
            f"{progress.repaired} projects repaired, {progress.dropped} entries dropped, "
            f"{progress.broken} journals broken."
        )
    if progress.broken:
        raise typer.Exit(1)


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Read all bytes, compare hashes.")] = False,
    as_json: Json = False,
) -> None:
    """Compare cache, journal and bytes; change nothing.

    Ends with 1 when anything does not agree.
    """
    with opening.one_line_errors():
        findings, checked = asyncio.run(_check(deep))
    if as_json:
        typer.echo(json.dumps({**asdict(checked), "findings": [asdict(f) for f in findings]}))
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(
            f"{checked.files} files of {checked.projects} projects, {checked.size} bytes: "
            + (f"{len(findings)} findings." if findings else "all agree.")
        )
    if findings:
        raise typer.Exit(1)


async def _reindex() -> Progress:
    async with opening.open_index() as index:
        with _bar() as bar:
            task = bar.add_task("Reading the journal")

            def report(progress: Progress) -> None:
                bar.update(
                    task,
                    description=f"{progress.files} files of {progress.projects} projects",
                )

            return await index.reindex(report)


async def _check(deep: bool) -> tuple[list[Finding], Checked]:
    async with opening.open_index() as index:
        check = index.check(deep=deep)
        findings: list[Finding] = []
        with _bar() as bar:
            task = bar.add_task("Comparing")
            async for finding in check.run():
                findings.append(finding)
                bar.update(task, description=f"{check.checked.files} files")
        return findings, check.checked


def _bar() -> Bar:
    """Shown on a terminal only, on standard error."""
    console = Console(stderr=True)
    return Bar(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
