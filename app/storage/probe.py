"""Whether a store keeps the one promise that commits rest on: create-only writes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ulid import ULID

from app import errors
from app.storage.base import Storage

ROOT = "probes/"
RACERS = 4


async def require_create_only(storage: Storage, name: str) -> None:
    """Race a few creates of one key, and remove it; ``name`` is how the message calls the store.

    Raises errors.Misconfigured where not exactly one of them won.
    """
    key = f"{ROOT}{ULID()}"
    racers = (storage.create(key, b"%d" % n) for n in range(RACERS))
    # None is left under way behind an error of another.
    created = await asyncio.gather(*racers, return_exceptions=True)
    # A store that keeps everything for ever may refuse: the probe's key is small and harmless.
    with suppress(errors.StorageUnavailable):
        await storage.delete(key)
    for outcome in created:
        if isinstance(outcome, BaseException):
            raise outcome
    if created.count(True) != 1:
        raise errors.Misconfigured(
            f"{name} does not keep create-only writes ({created.count(True)} of {RACERS} racers "
            "created one key), so files could be overwritten; use a store or a version that does"
        )
