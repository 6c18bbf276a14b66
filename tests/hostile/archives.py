"""The catalogue of hostile archives; deterministic, made when asked for.

``catalogue()`` has them all. Those with ``stage == "agreement"`` are sound as archives and
lie about their name or version: whoever compares metadata and filename refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from app.models import Kind


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """One archive: ``reason`` is a pattern that is found in what its upload answers."""

    id: str
    filename: str
    build: Callable[[], bytes]
    reason: str
    profile: Literal["strict", "import"] = "strict"
    stage: Literal["inspection", "agreement"] = "inspection"

    @property
    def kind(self) -> Kind:
        """Wheel or sdist, by the filename."""
        return Kind.WHEEL if self.filename.endswith(".whl") else Kind.SDIST

    @cached_property
    def content(self) -> bytes:
        """The bytes."""
        return self.build()

    def matches(self, message: str) -> bool:
        """Whether this is the reason that is expected."""
        return re.search(self.reason, message) is not None


def catalogue() -> tuple[Hostile, ...]:
    """All of them."""
    from tests.hostile import framing, layout, sdists  # they import Hostile from here

    return (*framing.WHEELS, *layout.WHEELS, *sdists.SDISTS)
