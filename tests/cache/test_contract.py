"""The contract, over every cache."""

from __future__ import annotations

from tests.contracts.cache import CacheContract


class TestCache(CacheContract):
    """Every clause, for each parameter of the fixture ``cache``."""
