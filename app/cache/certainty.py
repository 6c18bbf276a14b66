"""What a cache that cannot read two things at one moment needs to call something absent."""

from __future__ import annotations

from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache
from app.models import Project


async def certain(cache: Cache, name: NormalizedName, filename: str | None) -> Project | None:
    """``Cache.certain`` by way of ``outline`` and ``built``.

    Nothing is called absent by one answer: the cache may have been emptied before it, and be
    complete again after it. So it is asked between two moments at which it was complete.
    """
    found = await cache.outline(name, filename)
    if answers(found, filename):
        return found
    await _require_built(cache)
    found = await cache.outline(name, filename)
    await _require_built(cache)
    return found


def answers(found: Project | None, filename: str | None) -> bool:
    """Whether nothing is missing in what ``outline`` answered."""
    return found is not None and (filename is None or bool(found.files))


async def _require_built(cache: Cache) -> None:
    if not await cache.built():
        raise errors.IndexNotReady
