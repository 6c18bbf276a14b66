"""Whether a store keeps the one promise that commits rest on: create-only writes.

A store that is only read, such as one that is copied from, is not tried by writing to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ulid import ULID

from app import errors
from app.storage.base import Storage

ROOT = "probes/"
RACERS = 4
_READ_ONLY = "read_only"


def for_reading(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options with which a store of ours is opened that need not be written to."""
    return {**options, _READ_ONLY: True}


def is_for_reading(options: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The options as the settings have them, and whether they came by ``for_reading``."""
    rest = {name: value for name, value in options.items() if name != _READ_ONLY}
    return rest, bool(options.get(_READ_ONLY, False))


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
