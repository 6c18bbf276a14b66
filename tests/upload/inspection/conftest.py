"""A warm pool, and a file to hand to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from app.models import Kind
from app.upload.inspection import Inspection, Inspectors, inspectors
from app.upload.profile import Profile

Inspect = Callable[..., Awaitable[Inspection]]


@pytest.fixture
async def pool() -> AsyncIterator[Inspectors]:
    """Two children."""
    async with inspectors(count=2) as opened:
        yield opened


@pytest.fixture
def inspect(pool: Inspectors, tmp_path: Path) -> Inspect:
    """Spool the content and inspect it, called what it is called."""

    async def spool_and_inspect(
        filename: str, content: bytes, profile: Profile = "strict"
    ) -> Inspection:
        path = tmp_path / "spooled"
        path.write_bytes(content)
        kind = Kind.WHEEL if filename.endswith(".whl") else Kind.SDIST
        return await pool.inspect(path, filename=filename, kind=kind, profile=profile)

    return spool_and_inspect
