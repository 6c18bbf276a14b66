"""The storage keeps the contract."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pypicloud_onefile.storage import ABANDONED, CHUNK, GRACE, OneFileStorage, connect
from ulid import ULID

from app import errors, plugins
from app.storage.base import Storage
from app.testing import LastingContract, StorageContract
from app.testing.storage import content, put


class TestStorage(StorageContract):
    """Every clause."""

    @pytest.fixture
    async def storage(self, url: str) -> AsyncIterator[Storage]:
        """An empty one."""
        async with connect(url, {}) as opened:
            yield opened


class TestLastingStorage(LastingContract):
    """Every clause of those whose keys outlive the process."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """There are none."""
        return {}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A file that does not exist yet, in a folder that does not either."""
    return f"onefile:{tmp_path}/not yet/packages.db"


def test_the_entry_point_is_found() -> None:
    """The scheme leads here."""
    assert plugins.backend("storage", "onefile:x") is connect


@pytest.mark.parametrize("wrong", ["onefile:", "onefile://host/x", "onefile:x?timeout=soon"])
async def test_a_url_that_cannot_work(wrong: str) -> None:
    """It stops the start with one line that says what is expected."""
    with pytest.raises(errors.Misconfigured, match=r"onefile:PATH|seconds"):
        async with connect(wrong, {}):
            pass


async def test_a_file_that_is_none(tmp_path: Path) -> None:
    """What is no database stops the start, and is named."""
    (tmp_path / "x.db").write_text("not a database, but text. " * 100)
    with pytest.raises(errors.Misconfigured, match=r"x\.db"):
        async with connect(f"onefile:{tmp_path}/x.db", {}):
            pass


async def chunks(storage: OneFileStorage) -> set[str]:
    """The ids of all chunks that the file has."""
    rows = await storage._database.read(
        lambda rows: rows.execute("SELECT id FROM chunks").fetchall()
    )
    return {name for (name,) in rows}


async def test_what_was_deleted_takes_no_room_for_long(url: str) -> None:
    """After an hour, in which it can be read to its end, the next removal takes it away."""
    async with connect(url, {}) as storage:
        await put(storage, "a/b", b"x" * (CHUNK + 1))
        body = storage.get("a/b")
        assert len(await anext(body)) == CHUNK
        await storage.delete("a/b")
        assert len(await anext(body)) == 1
        assert await chunks(storage)
        past = (time.time() - GRACE.total_seconds() - 1,)
        await storage._database.write(
            lambda rows: rows.execute("UPDATE dropped SET since = ?", past)
        )
        await storage.delete("a/c")
        assert not await chunks(storage)


async def test_what_a_killed_process_left_is_swept(url: str) -> None:
    """A day later the chunks of an upload that never ended are gone; no others are."""
    long_ago = str(ULID.from_datetime(datetime.now(UTC) - 2 * ABANDONED))
    lately = str(ULID())
    async with connect(url, {}) as storage:
        await put(storage, "a/b", b"kept")
        for name in (long_ago, lately):
            await storage._chunk(name, 0, b"half of a wheel")
    async with connect(url, {}) as storage:
        assert long_ago not in await chunks(storage)
        assert lately in await chunks(storage)
        assert await content(storage, "a/b") == b"kept"
