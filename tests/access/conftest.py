"""Access on a fresh SQLite file, with a hash that costs little."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.access import engines
from app.access.passwords import Passwords
from app.access.sql import SqlAccess, connect

CHEAP = {"password_memory": 64, "password_passes": 1}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the users are kept; the directory does not exist yet."""
    return f"sqlite+aiosqlite:///{tmp_path}/data/access.db"


@pytest.fixture
async def access(url: str) -> AsyncIterator[SqlAccess]:
    """No users yet."""
    async with connect(url, CHEAP) as opened:
        yield opened


@pytest.fixture
async def elsewhere(url: str, access: SqlAccess) -> AsyncIterator[SqlAccess]:
    """The same users through a connection of its own."""
    async with connect(url, CHEAP) as opened:
        yield opened


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    """The hashing of ``counted``."""
    made = Passwords(memory=64, passes=1, threads=2, queue=3)
    yield made
    await made.close()


@pytest.fixture
async def counted(url: str, passwords: Passwords) -> AsyncIterator[SqlAccess]:
    """Access whose hashing can be watched."""
    async with engines.opened(url) as both:
        yield SqlAccess(both, passwords)
