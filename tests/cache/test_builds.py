"""A build during which the cache was emptied, in every cache of ours."""

from __future__ import annotations

import asyncio

import pytest

from app import errors
from app.cache.base import Cache
from tests.contracts.cache import ALPHA, CHANGE, make_file, make_project


async def test_a_build_that_was_emptied_is_not_complete(cache: Cache) -> None:
    """Whoever began to build before another cleared cannot call it complete, but begin anew."""
    await cache.clear()
    await cache.restore([make_project(ALPHA, make_file())], CHANGE)
    await asyncio.create_task(cache.clear())
    with pytest.raises(errors.CacheUnavailable):
        await cache.set_built()
    assert not await cache.built()
    await cache.restore([make_project(ALPHA, make_file())], CHANGE)
    await cache.set_built()
    assert await cache.built()
