"""The cache keeps the contract."""

from __future__ import annotations

import fcntl
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pypicloud_onefile.cache import connect

from app import errors, plugins
from app.cache.base import Cache
from app.testing import CacheContract, SharedCacheContract
from app.testing.cache import ALPHA, CHANGE, make_file, make_project


class TestCache(CacheContract):
    """Every clause."""

    @pytest.fixture
    async def cache(self, url: str) -> AsyncIterator[Cache]:
        """An empty one."""
        async with connect(url, {}) as opened:
            yield opened


class TestSharedCache(SharedCacheContract):
    """Every clause of those that several processes may open."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        """There are none."""
        return {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet, in a folder that does not either."""
    return tmp_path / "not yet" / "cache.jsonl"


@pytest.fixture
def url(path: Path) -> str:
    """Its URL."""
    return f"jsonlines:{path}"


def test_the_entry_point_is_found() -> None:
    """The scheme leads here."""
    assert plugins.backend("cache", "jsonlines:x") is connect


@pytest.mark.parametrize("wrong", ["jsonlines:", "jsonlines://host/x", "jsonlines:x?timeout=soon"])
async def test_a_url_that_cannot_work(wrong: str) -> None:
    """It stops the start with one line that says what is expected."""
    with pytest.raises(errors.Misconfigured, match=r"jsonlines:PATH|seconds"):
        async with connect(wrong, {}):
            pass


async def test_half_a_line_is_not_there(url: str, path: Path) -> None:
    """What a process wrote that was killed meanwhile is overwritten by the next."""
    async with connect(url, {}) as cache, connect(url, {}) as other:
        await cache.save_project(make_project(), CHANGE)
        with path.open("ab") as file:
            file.write(b'{"write":"save","change":')
        assert await cache.serial() == 1
        assert await other.save(make_file(), CHANGE) == 2
        assert await cache.serial() == 2
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.files == (make_file(),)


async def test_a_line_that_cannot_be_read_is_unavailable(url: str, path: Path) -> None:
    """It is no answer, and the error says what to do."""
    async with connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
        with path.open("ab") as file:
            file.write(b'{"write":"dance"}\n')
        for _ in range(2):
            with pytest.raises(errors.CacheUnavailable, match="delete it"):
                await cache.project(ALPHA)


async def test_a_full_disk_changes_nothing(url: str, path: Path) -> None:
    """A write that the disk does not take is unavailable, here and everywhere."""
    async with connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, limits[1]))
        try:
            with pytest.raises(errors.CacheUnavailable):
                await cache.save(make_file(), CHANGE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        assert await cache.serial() == 1
        assert await cache.save(make_file(), CHANGE) == 2


async def test_a_file_removed_under_a_running_process(url: str, path: Path) -> None:
    """Nothing is answered from memory that other processes do not share any more."""
    async with connect(url, {}) as cache:
        await cache.save_project(make_project(), CHANGE)
        path.unlink()
        with pytest.raises(errors.CacheUnavailable):
            await cache.project(ALPHA)


async def test_a_process_that_keeps_the_lock(url: str, path: Path) -> None:
    """It is waited for as long as the URL says, and no longer."""
    async with connect(f"{url}?timeout=0.1", {}) as cache:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(errors.CacheUnavailable, match="lock"):
                await cache.record(CHANGE)
        assert await cache.record(CHANGE) == 1
