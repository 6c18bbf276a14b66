"""How processes that write all the time let each other write as well."""

from __future__ import annotations

import random

CROWD = 32.0
"""Attempts of others that are reckoned with, at the most."""
LONGEST = 2.0
"""Seconds."""


class Manners:
    """How long to wait before the next attempt at a transaction.

    What is learned of how many others there are outlives a success: who has just written
    waits as those do who have not, instead of being first again.
    """

    def __init__(self) -> None:
        self._crowd = 0.0
        self._took = 0.0

    def pause(self) -> float:
        """Seconds, by chance."""
        longest = min(self._crowd * self._took, LONGEST)
        return random.uniform(0, longest)  # noqa: S311  # nobody is to guess it

    def won(self, took: float) -> None:
        """An attempt that took so many seconds has succeeded."""
        self._learn(took)
        self._crowd = self._crowd * 0.75 if self._crowd > 1 else 0.0

    def lost(self, took: float) -> None:
        """Somebody else was faster."""
        self._learn(took)
        self._crowd = min(self._crowd + 4, CROWD)

    def _learn(self, took: float) -> None:
        self._took = (self._took + took) / 2 if self._took else took
