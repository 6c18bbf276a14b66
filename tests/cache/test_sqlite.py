"""What is particular to the cache in SQLite: its file and its locks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache import sql
from app.testing.cache import CHANGE, make_file, make_project


@pytest.fixture
def url(sqlite_url: str) -> str:
    """Only this one."""
    return sqlite_url


def path_of(url: str) -> Path:
    """The database's file."""
    return Path(url.partition(":///")[2])


async def test_a_write_ahead_log_is_kept(url: str) -> None:
    """Readers never wait for a writer: the file is in WAL mode."""
    async with sql.connect(url, {}):
        pass
    with closing(sqlite3.connect(path_of(url))) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_locked_database_is_unavailable_to_writers(url: str) -> None:
    """Where another process does not let go, writes raise CacheUnavailable and reads go on."""
    async with sql.connect(url, {"timeout": 0.1}) as cache:
        await cache.save_project(make_project(NormalizedName("very-secret")), CHANGE)
        with closing(sqlite3.connect(path_of(url), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            file = make_file("1.0", NormalizedName("very-secret"))
            with pytest.raises(errors.CacheUnavailable) as caught:
                await cache.save(file, CHANGE)
            assert "SQLITE_BUSY" in str(caught.value)
            assert "secret" not in str(caught.value) + str(caught.value.__cause__)
            assert await cache.serial() == 1
            with pytest.raises(errors.CacheUnavailable, match="locked"):
                async with sql.connect(url, {"timeout": 0.1}):
                    pass
        assert await cache.save(file, CHANGE) == 2


async def test_a_damaged_file_is_named_with_its_cure(url: str) -> None:
    """What is no database, or a damaged one, stops the start with the file's path and a cure."""
    path = path_of(url)
    async with sql.connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
    whole = path.read_bytes()
    for damaged in (b"not a database, but text" * 500, whole[:4096] + b"\xff" * 40_000):
        path.write_bytes(damaged)
        with pytest.raises(errors.Misconfigured) as caught:
            async with sql.connect(url, {}):
                pass
        assert str(path) in str(caught.value)
        assert "delete it" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A folder in the file's place, or a file in the folder's, is said in one line."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "cache.db"):
        with pytest.raises(errors.Misconfigured) as caught:
            async with sql.connect(f"sqlite+aiosqlite:///{path}", {}):
                pass
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
