"""Several versions of the tables in one database."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app import errors
from app.cache import schema, sql
from app.testing.cache import ALPHA, BETA, CHANGE, make_file, make_project
from tests.cache.conftest import execute

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """A folder with another version of the app, whose tables are not ours."""
    folder = tmp_path / "another"
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    rows = folder / "app" / "cache" / "rows.py"
    text = rows.read_text()
    assert "_LAYOUT = " in text
    rows.write_text(text.replace("_LAYOUT = ", "_LAYOUT = 1000 + "))
    return folder


async def write(folder: Path, url: str, name: str, total: int) -> list[int]:
    """Have the version in ``folder`` save files; their serials."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "app/testing/writer.py", url, "{}", name, str(total)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return [int(line) for line in printed.split()]


async def tables(url: str) -> set[str]:
    """The names of the tables."""
    statements = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
        "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        "mysql": "SHOW TABLES",
    }
    found = await execute(url, statements[make_url(url).get_backend_name()])
    return {str(name) for (name,) in found}


@pytest.mark.slow
async def test_two_versions_live_side_by_side(url: str, another: Path) -> None:
    """Each finds its own projects; serials and changes are those of both, without a gap."""
    async with sql.connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
        await cache.save(make_file("1.0"), CHANGE)
        given = await write(another, url, "w", 3)
        assert min(given) > 3  # they claimed the project for themselves
        assert await cache.save(make_file("2.0"), CHANGE) == max(given) + 1
        found = await cache.project(ALPHA)
        assert found is not None
        assert {file.version for file in found.files} == {"1.0", "2.0"}
        changes = await cache.changes(0)
        assert [change.serial for change in changes] == list(range(1, max(given) + 2))


@pytest.mark.slow
async def test_a_version_comes_to_a_database_in_use(url: str, another: Path) -> None:
    """A new version begins with nothing built, above all serials, and hides nobody's changes."""
    given = await write(another, url, "w", 2)
    async with sql.connect(url, {}) as cache:
        assert not await cache.built()
        assert await cache.project(ALPHA) is None
        assert await cache.serial() == max(given)
        assert len(await cache.changes(0)) == max(given)
        await cache.clear(1000)
        assert list(await cache.changes(0)) == []
    given = await write(another, url, "v", 1)
    assert min(given) == 1001
    async with sql.connect(url, {}) as cache:
        assert [change.serial for change in await cache.changes(0)] == sorted(given)


@pytest.mark.slow
async def test_what_another_version_wrote_meanwhile_is_to_be_built(url: str, another: Path) -> None:
    """Tables that missed what others wrote do not pass for complete when they are used again."""
    async with sql.connect(url, {}) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await cache.set_built()
    async with sql.connect(url, {}) as cache:
        assert await cache.built()
    await write(another, url, "w", 1)
    async with sql.connect(url, {}) as cache:
        assert not await cache.built()
        assert await cache.project(ALPHA) is not None
        await cache.set_built()
    async with sql.connect(url, {}) as cache:
        assert await cache.built()


@pytest.mark.slow
async def test_pruning_hides_nothing_that_another_version_wrote(url: str, another: Path) -> None:
    """Tables that missed what was pruned since are built again; those in step are not."""
    async with sql.connect(url, {}) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await cache.set_built()
        for _ in range(5):
            await cache.record(CHANGE)
        await cache.prune(await cache.serial(), CHANGE)
    async with sql.connect(url, {}) as cache:
        assert await cache.built()
    await write(another, url, "w", 2)
    for _ in range(2):
        async with sql.connect(url, {}) as cache:
            for _ in range(3):
                await cache.record(CHANGE)
            await cache.prune(await cache.serial(), CHANGE)
            assert len(await cache.changes(0)) == 2
            assert not await cache.built()
    async with sql.connect(url, {}) as cache:
        await cache.set_built()
        await cache.record(CHANGE)
        await cache.prune(await cache.serial(), CHANGE)
    async with sql.connect(url, {}) as cache:
        assert await cache.built()


@pytest.mark.slow
async def test_an_abandoned_version_is_dropped(url: str, another: Path) -> None:
    """A week after its last use a version's tables go, once ours are built; no others do."""
    await write(another, url, "w", 1)
    async with sql.connect(url, {}):
        theirs = {name for name in await tables(url) if schema.LAYOUT not in name}
    await execute(url, "CREATE TABLE somebody_elses (name INTEGER)")
    await execute(url, f"UPDATE {schema.layouts.name} SET seen = seen - {schema.ABANDONED + 60}")
    async with sql.connect(url, {}) as cache:
        assert theirs <= await tables(url)
        await cache.set_built()
    await execute(url, f"UPDATE {schema.layouts.name} SET seen = seen - {schema.ABANDONED + 60}")
    async with sql.connect(url, {}) as cache:
        left = await tables(url)
        assert "somebody_elses" in left
        assert {name for name in theirs - left if "_files_" in name or "_projects_" in name} == (
            theirs - left
        )
        assert len(theirs - left) == 2
        assert await cache.built()
        assert len(await cache.changes(0)) > 0
    assert await write(another, url, "v", 1)


async def test_tables_that_were_dropped_are_made_anew(url: str) -> None:
    """Dropped under an open cache: one error, then an empty cache that is to be built."""
    async with sql.connect(url, {}) as cache:
        await cache.restore([make_project(ALPHA, make_file()), make_project(BETA)], CHANGE)
        await cache.set_built()
        serial = await cache.serial()
        await execute(url, f"DROP TABLE {schema.files.name}", f"DROP TABLE {schema.projects.name}")
        with pytest.raises(errors.CacheUnavailable):
            await cache.project(ALPHA)
        assert await cache.project(ALPHA) is None
        assert not await cache.built()
        assert await cache.serial() == serial
        assert await cache.save_project(make_project(), CHANGE) == serial + 1
