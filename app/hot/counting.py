"""How often answers that were at hand were given: counted where they are, read by others."""

from __future__ import annotations

from collections.abc import Callable

from app.downloads.tally import Tally
from app.hot.answer import Answer
from app.hot.question import Key, Question
from app.metrics import Meters
from app.metrics.doors import door
from app.traces import Traces


class Counting:
    """The counts of one Hot, below this ``root_path``."""

    def __init__(self, meters: Meters, root_path: str) -> None:
        self._meters, self._root_path = meters, root_path
        self.timing = meters.timing("hot_seconds")
        self.tally: Tally | None = None
        """What counts downloads, where they are counted."""
        self.spans: Traces | None = None
        """Who is told of each answer, where requests are traced."""

    def watch(self, **read: Callable[[], float]) -> None:
        """Have numbers read by the names of their families."""
        for name, one in read.items():
            self._meters.watch(name, one)

    def downloaded(self, download: tuple[str, str], asked: Question) -> None:
        """An answer was given that is a download."""
        if self.tally is not None:
            self.tally.count(*download, asked.agent)

    def timed(self, seconds: float, asked: Question, given: Answer, request_id: bytes) -> None:
        """An answer was given whose time was taken: of some, and of all where they are traced."""
        self.timing.observe(seconds)
        if self.spans is not None:
            method, request = (asked.key[0] or b"").decode(), request_id.decode()
            self.spans.at_hand(method, given.route, given.status, request, seconds)

    def prepare(self, key: Key, made: Answer, download: tuple[str, str] | None = None) -> None:
        """Give an answer its count, so that giving it is counted by adding one."""
        made.download = download if key[0] == b"GET" else None
        method, target = ((part or b"").decode("ascii", "replace") for part in key[:2])
        at = door(method, target.partition("?")[0], self._root_path)
        for answer in (made, made.unchanged):
            if answer is not None:
                answer.route = made.route
                answer.given = self._meters.count("requests", at, str(answer.status))
