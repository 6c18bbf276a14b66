"""How long these tests try: seconds, or with SOAK=1 minutes."""

from __future__ import annotations

import os

import pytest

SOAK = bool(os.environ.get("SOAK"))


@pytest.fixture
def seed() -> int:
    """SEED=… replays what a failure printed."""
    return int(os.environ.get("SEED", "20261128"))
