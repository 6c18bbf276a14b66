"""The contract, over every cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.testing.cache import CacheContract, SharedCacheContract
from tests.cache.conftest import Place


class TestCache(CacheContract):
    """Every clause."""


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestSharedCache(SharedCacheContract):
    """Every clause of those that several processes may open."""

    @pytest.fixture
    def url(self, shared_place: Place) -> str:
        """Where it is."""
        return shared_place.url

    @pytest.fixture
    def options(self, shared_place: Place) -> Mapping[str, Any]:
        """What else is to be known."""
        return shared_place.options
