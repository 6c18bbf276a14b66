"""Every cache in turn; add yours to the list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app import plugins
from app.cache.base import Cache


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite cache that nobody has opened yet, in a folder that does not exist."""
    return f"sqlite+aiosqlite:///{tmp_path}/not yet/here/cache.db"


@pytest.fixture(params=["memory", "sqlite"])
async def cache(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Cache]:
    """An empty cache of each kind."""
    where = {"memory": "memory:", "sqlite": url}[request.param]
    async with plugins.backend("cache", where)(where, {}) as opened:
        yield opened
