"""``pypicloud reindex`` and ``pypicloud check``: the cache, the journal and the bytes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from app.cli import opening
from app.cli.showing import Json, spinner
from app.index import Index
from app.index.adopting_glance import told
from app.index.check import Checked, Finding
from app.index.progress import Progress

TOLD = 100
"""Findings that stand in the audit trail, of however many."""


def reindex(as_json: Json = False) -> None:
    """Bring the cache up to the storage, beside live traffic.

    Where another process is about it, its progress is shown; should it die, its work is gone on
    with. Ends with 1 when part of the journal cannot be read.
    """
    with opening.one_line_errors():
        progress, waiting = asyncio.run(_reindex())
        asyncio.run(opening.note("reindex", "", after=_facts(progress)))
    if waiting is not None:
        typer.echo(f"Note: {told(waiting)}.", err=as_json)
    if as_json:
        typer.echo(json.dumps(asdict(progress), default=str))
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
        findings, checked = asyncio.run(compared(deep))
        if findings:
            asyncio.run(_note(findings))
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


async def _reindex() -> tuple[Progress, str | None]:
    """How it ended, and a key that a reindex passes over though a file could be made of it."""
    async with opening.open_index() as index:
        return await brought_up(index), await index.unadopted()


async def brought_up(index: Index) -> Progress:
    """Reindex, and show how far that has come."""
    with spinner() as shown:
        task = shown.add_task("Reading the journal")

        def report(progress: Progress) -> None:
            so_far = f"{progress.files} files of {progress.projects} projects"
            shown.update(task, description=f"{so_far}, by {progress.holder}")

        return await index.reindex(report, by=opening.operator())


async def compared(deep: bool) -> tuple[list[Finding], Checked]:
    """What does not agree, and how much was looked at."""
    async with opening.open_index() as index:
        check = index.check(deep=deep)
        findings: list[Finding] = []
        with spinner() as shown:
            task = shown.add_task("Comparing")
            async for finding in check.run():
                findings.append(finding)
                shown.update(task, description=f"{check.checked.files} files")
        return findings, check.checked


async def _note(findings: list[Finding]) -> None:
    facts = {"findings": len(findings), "lines": [str(finding) for finding in findings[:TOLD]]}
    await opening.note("integrity.failure", "", outcome="fail", after=facts)


def _facts(progress: Progress) -> dict[str, int]:
    counts = ("files", "projects", "repaired", "dropped", "broken")
    return {name: getattr(progress, name) for name in counts}
