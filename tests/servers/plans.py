"""What goes wrong between the app and a store, and when."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple


class Fault(Enum):
    """What may happen to one request."""

    RESET = auto()
    """The connection is reset; the store sees nothing."""
    CUT = auto()
    """It is reset in the middle of the request, for the store too."""
    SPOILED = auto()
    """One byte of the request's body arrives changed."""
    SILENT = auto()
    """The store sees nothing, and nothing is ever answered."""
    LOST = auto()
    """The store does it all; its answer is replaced by a reset."""
    UNANSWERED = auto()
    """The store does it all; nothing is ever answered."""
    TRUNCATED = auto()
    """The answer ends in the middle of its body, or of its head where it has none."""
    STALLED = auto()
    """The answer stops there, and the connection stays open."""
    FLIPPED = auto()
    """One byte of the answer's body is changed."""
    DELAYED = auto()
    """The answer comes late: by the proxy's ``delay``."""


class Answer(NamedTuple):
    """An answer of the proxy's own; with ``done`` the store has done what was asked."""

    status: int
    reason: str
    headers: tuple[str, ...] = ()
    body: bytes = b""
    done: bool = False

    def raw(self, method: str) -> bytes:
        """The bytes of it."""
        body = b"" if method == "HEAD" else self.body
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *self.headers]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


class Request(NamedTuple):
    """What a plan sees: the how manieth, and its first line."""

    number: int
    method: str
    target: str


Injected = Fault | Answer
Plan = Callable[[Request], Injected | None]


def nothing(request: Request) -> Injected | None:
    """The plan by which all goes well."""
    return None


@dataclass
class Rule:
    """The plan that ``fault`` befalls what matches: ``times`` of them, after the first ``skip``.

    ``method`` and ``target`` are regular expressions, searched for.
    """

    fault: Injected
    method: str = ""
    target: str = ""
    times: float = float("inf")
    skip: int = 0
    hits: int = field(default=0, init=False)
    """How many it befell."""

    def __call__(self, request: Request) -> Injected | None:
        if not re.search(self.method, request.method) or not re.search(self.target, request.target):
            return None
        if self.skip:
            self.skip -= 1
            return None
        if self.hits >= self.times:
            return None
        self.hits += 1
        return self.fault


def first(rules: Sequence[Plan]) -> Plan:
    """The plan that follows the first of these that has something for a request."""

    def plan(request: Request) -> Injected | None:
        return next((fault for rule in rules if (fault := rule(request)) is not None), None)

    return plan


@dataclass
class Seeded:
    """The plan that every ``1 / rate``-th request on average has one of the faults."""

    seed: int
    rate: float
    faults: Sequence[Injected]

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def __call__(self, request: Request) -> Injected | None:
        return self._random.choice(self.faults) if self._random.random() < self.rate else None
