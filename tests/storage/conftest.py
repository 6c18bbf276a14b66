"""The list of storages; the contract runs over each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app import plugins
from app.storage.base import Storage

BACKENDS = ("memory", "file")
LASTING = ("file",)


@pytest.fixture
def memory_url() -> str:
    """A storage in memory."""
    return "memory:"


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """A folder that does not exist yet."""
    return f"file:{tmp_path}/storage"


@pytest.fixture(params=BACKENDS)
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Every storage in turn, empty; add yours to the list."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    async with plugins.backend("storage", url)(url, {}) as found:
        yield found


@pytest.fixture(params=LASTING)
def url(request: pytest.FixtureRequest) -> str:
    """The URL of every storage in turn whose keys outlive the process."""
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found
