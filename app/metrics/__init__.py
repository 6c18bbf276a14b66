"""What a process counts: plain numbers that cost next to nothing, read when somebody asks.

A ``Count`` is an attribute that is added to, so that what is hot can count without a lock or
a look-up; one event loop belongs to one Meters. Names and labels are those of FAMILIES and
of no client's choosing, so there is no end of series. app.metrics.exposition writes them down,
app.metrics.shared adds up those of several workers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from operator import add

from app.metrics.families import FAMILIES

Labels = tuple[str, ...]
Key = tuple[str, Labels]
Read = Callable[[], float]
_MERGES: Mapping[str, Callable[[float, float], float]] = {"sum": add, "max": max, "min": min}


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Timing:
    """How long something took, in seconds: how often up to each bound, and beyond the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Once more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Meters:
    """All that one process counts."""

    def __init__(self) -> None:
        self._counts: dict[Key, Count] = {}
        self._timings: dict[Key, Timing] = {}
        self._read: dict[Key, Read] = {}
        self.running = Count()
        """Of requests; it shrinks too."""
        self.watch("requests_running", lambda: self.running.value)

    def count(self, name: str, *labels: str) -> Count:
        """The count of this family with these labels, in the family's order; always the same."""
        key = (name, labels)
        if (found := self._counts.get(key)) is None:
            _require(name, labels, "counter")
            found = self._counts[key] = Count()
        return found

    def timing(self, name: str, *labels: str) -> Timing:
        """The same for a histogram."""
        key = (name, labels)
        if (found := self._timings.get(key)) is None:
            _require(name, labels, "histogram")
            found = self._timings[key] = Timing(FAMILIES[name].bounds)
        return found

    def watch(self, name: str, read: Read, *labels: str) -> None:
        """Have a number read whenever somebody asks: a gauge, or a count that others keep."""
        _require(name, labels, "gauge", "counter")
        self._read[name, labels] = read

    def snapshot(self) -> Snapshot:
        """All numbers as of now."""
        numbers = {key: count.value for key, count in self._counts.items()}
        for key, read in self._read.items():
            numbers[key] = numbers.get(key, 0) + read()
        timings = {key: (list(one.counts), one.total) for key, one in self._timings.items()}
        return Snapshot(numbers, timings)


class Snapshot:
    """Numbers of one process, or of several, by name and labels."""

    __slots__ = ("numbers", "timings")

    def __init__(
        self,
        numbers: Mapping[Key, float] | None = None,
        timings: Mapping[Key, tuple[list[int], float]] | None = None,
    ) -> None:
        self.numbers = dict(numbers or {})
        self.timings = dict(timings or {})

    def add(self, other: Snapshot, *, alive: bool = True) -> None:
        """Add another process's; of one that is not ``alive``, what it counted alone."""
        for key, value in other.numbers.items():
            family = FAMILIES.get(key[0])
            if family is None or (family.kind == "gauge" and not alive):
                continue
            mine = self.numbers.get(key)
            if mine is None:
                self.numbers[key] = value
            else:
                self.numbers[key] = _MERGES[family.merge](mine, value)
        for key, (counts, total) in other.timings.items():
            kept, sum_ = self.timings.get(key, ([0] * len(counts), 0.0))
            if len(kept) == len(counts):
                added = [a + b for a, b in zip(kept, counts, strict=True)]
                self.timings[key] = (added, sum_ + total)


def _require(name: str, labels: Labels, *kinds: str) -> None:
    family = FAMILIES[name]
    if family.kind not in kinds or len(labels) != len(family.labels):
        raise ValueError(f"{name} is a {family.kind} with the labels {family.labels}")
