"""A breaker: who failed a few times in a row is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 5
"""In a row, after which it opens."""
PAUSE = 15.0
"""Seconds for which nobody is asked then; afterwards one question tries."""


class Breaker:
    """Counts what failed in a row; ``clock`` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether nobody is to be asked now; the first who may be takes it on itself to try."""
        if self._failures < FAILURES:
            return False
        if self._clock() < self._until:
            return True
        self._until = self._clock() + PAUSE
        return False

    @property
    def state(self) -> str:
        """``closed``, or ``open``; for people."""
        return "open" if self._failures >= FAILURES else "closed"

    def succeeded(self) -> None:
        """An answer came."""
        self._failures = 0

    def failed(self) -> None:
        """None came, or one that says that the upstream is not well."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._until = self._clock() + PAUSE
