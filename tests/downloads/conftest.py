"""Storages for counts, and a clock that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import plugins
from app.storage.base import Storage

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
DAY = 24 * HOUR


@dataclass
class Clock:
    """The time, as it is told."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """It stands at a noon."""
    return Clock()


@pytest.fixture(params=["memory", "file"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage of each kind."""
    url = "memory:" if request.param == "memory" else f"file:{tmp_path}/storage"
    async with plugins.backend("storage", url)(url, {}) as found:
        yield found


async def keys(storage: Storage) -> list[str]:
    """What is kept below ``downloads/``, without that."""
    return [one.key.removeprefix("downloads/") async for one in storage.scan("downloads/")]
