"""Indexes to read from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.routes.stage import Stage, opened


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """An index that everyone may read."""
    async with opened(tmp_path, "everyone") as stage:
        yield stage


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Stage]:
    """An index that everybody who is known may read."""
    async with opened(tmp_path, "authenticated") as stage:
        yield stage
