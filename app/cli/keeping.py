"""``pypicloud stats`` and ``pypicloud gc``: what there is, and what nobody can ask for any more."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.filesize import decimal

from app import errors
from app.cli import opening
from app.cli.showing import Json, spinner, table
from app.index import Index
from app.index.collect import Collected
from app.models import FileState, Project

MONTH = timedelta(days=30)
LARGEST = 10


def stats(as_json: Json = False) -> None:
    """Count projects, releases, files and bytes, and name the largest projects."""
    with opening.one_line_errors():
        found = asyncio.run(_stats())
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(
        f"{found['projects']} projects, {found['releases']} releases, {found['files']} files, "
        f"{decimal(found['size'])}"
    )
    kinds = ", ".join(f"{number} {kind}" for kind, number in found["kinds"].items())
    typer.echo(f"{kinds or 'no files'}; {found['yanked']} yanked")
    typer.echo(
        f"{found['recent']} files of the last 30 days; {found['deleted']} deleted ones whose "
        f"bytes are kept ({decimal(found['deleted_size'])})"
    )
    largest = ((name, decimal(size)) for name, size in found["largest"].items())
    table(("largest projects", "size"), largest, aligned=False, indent="  ")


def gc(
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Remove, or only say what would be.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove the bytes of files deleted longer ago than the grace period, and of dead uploads.

    The service does so once a day by itself. Nothing is removed without --apply.
    """
    with opening.one_line_errors():
        collected = asyncio.run(_gc(apply))
        if apply and (collected.purged or collected.orphans):
            asyncio.run(opening.note("gc", "", after=asdict(collected)))
    if as_json:
        typer.echo(json.dumps({"applied": apply, **asdict(collected)}))
        return
    verb = "removed" if apply else "would be removed"
    typer.echo(
        f"{collected.purged} deleted files and {collected.orphans} keys of dead uploads {verb}, "
        f"{decimal(collected.size)}."
    )
    if not apply and (collected.purged or collected.orphans):
        typer.echo("Nothing was removed; remove with --apply.")


async def _gc(apply: bool) -> Collected:
    async with opening.open_built_index() as index:
        with spinner() as shown:
            task = shown.add_task("Reading the journal")

            def looked(projects: int, keys: int) -> None:
                shown.update(task, description=f"{projects} projects, {keys} keys of bytes")

            return await index.collect(trial=not apply, looked=looked)


async def _stats() -> dict[str, Any]:
    async with opening.open_index() as index:
        if not await index.ready():
            raise errors.Misconfigured("The cache is not built; run 'pypicloud reindex' first.")
        return await _counted(index)


async def _counted(index: Index) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    since = datetime.now(UTC) - MONTH
    async for project in _projects(index):
        counts["projects"] += 1
        counts["releases"] += len({file.version for file in project.published})
        for file in project.files:
            if file.state is FileState.DELETED:
                counts["deleted"] += 1
                counts["deleted_size"] += file.size
        for file in project.published:
            counts["files"] += 1
            counts["size"] += file.size
            counts["yanked"] += file.yanked is not None
            counts["recent"] += file.upload_time >= since
            kinds[file.kind.value] += 1
            sizes[project.name] += file.size
    names = ("projects", "releases", "files", "size", "yanked", "recent", "deleted", "deleted_size")
    return {
        **{name: counts[name] for name in names},
        "kinds": dict(sorted(kinds.items())),
        "largest": dict(sizes.most_common(LARGEST)),
    }


async def _projects(index: Index) -> AsyncIterator[Project]:
    """All that there are, one after the other, with how far that has come."""
    every = (await index.listing()).projects
    with spinner() as shown:
        task = shown.add_task("Counting")
        for number, line in enumerate(every, 1):
            shown.update(task, description=f"{number} of {len(every)} projects")
            try:
                yield await index.project(line.name)
            except errors.ProjectNotFound:  # it went meanwhile
                continue
