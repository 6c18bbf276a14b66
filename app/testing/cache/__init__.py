"""The contract of app.cache.base.Cache.

A backend's tests subclass CacheContract and provide a fixture ``cache``, empty at the start of
each test. A backend that several processes may open, and without that a service has one worker,
subclasses SharedCacheContract too, with a fixture ``url`` of an empty cache that nobody has
opened and ``options`` of ``connect``; these are JSON, for they are handed to other processes.
"""

from __future__ import annotations

from app.testing.cache.asking import assert_whole, everything, follow, names
from app.testing.cache.histories import Histories, any_change, any_file, any_project
from app.testing.cache.knowing import Knowing
from app.testing.cache.listing import Listing
from app.testing.cache.nouns import (
    ADA,
    ALPHA,
    BETA,
    CHANGE,
    FIRST,
    NOON,
    SECOND,
    make_change,
    make_file,
    make_project,
)
from app.testing.cache.pruning import Pruning
from app.testing.cache.repairing import Repairing
from app.testing.cache.searching import Searching
from app.testing.cache.serials import Serials
from app.testing.cache.shared import SharedCacheContract

__all__ = [
    "ADA",
    "ALPHA",
    "BETA",
    "CHANGE",
    "FIRST",
    "NOON",
    "SECOND",
    "CacheContract",
    "SharedCacheContract",
    "any_change",
    "any_file",
    "any_project",
    "assert_whole",
    "everything",
    "follow",
    "make_change",
    "make_file",
    "make_project",
    "names",
]


class CacheContract(Knowing, Serials, Pruning, Repairing, Listing, Searching, Histories):
    """What every cache promises."""
