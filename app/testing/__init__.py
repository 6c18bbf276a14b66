"""What every backend promises, as tests: for ours, and for those of other distributions.

Subclass the contracts of a protocol in a test module, give them the fixtures that they name,
and run pytest with ``asyncio_mode = "auto"``; ``pip install 'pypicloud[testing]'`` brings what
they need. The service itself imports nothing of this.
"""

from __future__ import annotations

import pytest

# Before any of them is imported, for a failing clause to show both sides.
pytest.register_assert_rewrite("app.testing.access", "app.testing.cache", "app.testing.storage")

from app.testing.access import AccessContract, ReadingContract  # noqa: E402
from app.testing.cache import CacheContract, SharedCacheContract  # noqa: E402
from app.testing.storage import LastingContract, StorageContract  # noqa: E402

__all__ = [
    "AccessContract",
    "CacheContract",
    "LastingContract",
    "ReadingContract",
    "SharedCacheContract",
    "StorageContract",
]
