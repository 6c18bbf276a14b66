"""How often answers that were at hand were given: counted where they are, read by others."""

from __future__ import annotations

from collections.abc import Callable

from app.hot.answer import Answer
from app.hot.question import Key
from app.metrics import Meters
from app.metrics.doors import door


class Counting:
    """The counts of one Hot, below this ``root_path``."""

    def __init__(self, meters: Meters, root_path: str) -> None:
        self._meters, self._root_path = meters, root_path
        self.timing = meters.timing("hot_seconds")

    def watch(self, **read: Callable[[], float]) -> None:
        """Have numbers read by the names of their families."""
        for name, one in read.items():
            self._meters.watch(name, one)

    def prepare(self, key: Key, made: Answer) -> None:
        """Give an answer its count, so that giving it is counted by adding one."""
        method, target = ((part or b"").decode("ascii", "replace") for part in key[:2])
        at = door(method, target.partition("?")[0], self._root_path)
        for answer in (made, made.unchanged):
            if answer is not None:
                answer.given = self._meters.count("requests", at, str(answer.status))
