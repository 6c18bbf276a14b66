"""Search: which projects match what somebody types, best first. Pure.

A name that is the query comes first, then names that begin with it, then those that hold it,
then those that look like it (a slip of the finger), then summaries that hold all of its words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import IntEnum

from app.models import ProjectSummary

_SEPARATORS = re.compile(r"[-_.\s]+")
_LIKE = 0.75
"""How alike a name must be to be taken for a slip; 1 is the same."""
_CANDIDATES = 100
"""So many of the names that share most with the query are compared letter by letter."""


class How(IntEnum):
    """How a project matches; the smaller the better."""

    EXACT = 0
    PREFIX = 1
    NAME = 2
    TYPO = 3
    TEXT = 4


@dataclass(frozen=True, slots=True)
class Match:
    """A project that matches, and how."""

    summary: ProjectSummary
    how: How


@dataclass(frozen=True, slots=True)
class _Line:
    summary: ProjectSummary
    text: str


class Corpus:
    """The projects, prepared to be searched; made in a thread where they are many."""

    def __init__(self, summaries: Sequence[ProjectSummary]) -> None:
        self.summaries = summaries
        self._lines = [_Line(one, f"{one.name} {one.summary}".casefold()) for one in summaries]
        self._grams: dict[str, list[int]] = {}
        for number, one in enumerate(summaries):
            for gram in _grams(one.name):
                self._grams.setdefault(gram, []).append(number)

    def search(self, query: str) -> list[Match]:
        """Those that match, best first; within one way of matching by name."""
        name = _SEPARATORS.sub("-", query.strip().casefold()).strip("-")
        words = query.casefold().split()
        if not words:
            return [Match(one, How.TEXT) for one in self.summaries]
        found: dict[int, How] = {}
        for number, line in enumerate(self._lines):
            if (how := _way(line, name, words)) is not None:
                found[number] = how
        for number in self._alike(name):
            found[number] = min(found.get(number, How.TYPO), How.TYPO)
        return sorted(
            (Match(self.summaries[number], how) for number, how in found.items()),
            key=lambda match: (match.how, _nearness(match, name), match.summary.name),
        )

    def _alike(self, name: str) -> Iterable[int]:
        if len(name) < 3:
            return
        shared = Counter(number for gram in _grams(name) for number in self._grams.get(gram, ()))
        for number, _ in shared.most_common(_CANDIDATES):
            if SequenceMatcher(None, self.summaries[number].name, name).ratio() >= _LIKE:
                yield number


def _way(line: _Line, name: str, words: Sequence[str]) -> How | None:
    own = line.summary.name
    if name:
        if own == name:
            return How.EXACT
        if own.startswith(name):
            return How.PREFIX
        if name in own:
            return How.NAME
    return How.TEXT if all(word in line.text for word in words) else None


def _nearness(match: Match, name: str) -> float:
    """Shorter names first among those that hold the query; the likest first among the others."""
    if match.how is How.TYPO:
        return -SequenceMatcher(None, match.summary.name, name).ratio()
    return len(match.summary.name) if match.how < How.TYPO else 0


def _grams(name: str) -> set[str]:
    padded = f" {name} "
    return {padded[at : at + 3] for at in range(len(padded) - 2)}
