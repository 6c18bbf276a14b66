"""Days that are over, remembered in little: five columns of numbers for each. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from app.downloads.counts import Line, Record


class Words:
    """Names, versions and tools, each kept once and meant by its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = []

    def number(self, word: str) -> int:
        """That of a word, which is new if need be."""
        found = self._numbers.get(word)
        if found is None:
            found = len(self._words)
            self._words.append(word)
            self._numbers[word] = found
        return found

    def find(self, word: str) -> int | None:
        """That of a word that is known."""
        return self._numbers.get(word)

    def __getitem__(self, number: int) -> str:
        return self._words[number]


class Sheet:
    """What was downloaded on a day; ``thin``: only how much of which project."""

    __slots__ = ("_counts", "_installers", "_projects", "_pythons", "_versions", "_words", "thin")

    def __init__(self, words: Words, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        self._words = words
        columns = list(zip(*sorted(rows), strict=True)) or [()] * 5
        self._projects, self._versions = array("I", columns[0]), array("I", columns[1])
        self._installers, self._pythons = array("I", columns[2]), array("I", columns[3])
        self._counts = array("Q", columns[4])
        self.thin = False

    @classmethod
    def of(cls, records: Sequence[Record], words: Words, *, thin: bool = False) -> Sheet:
        """The sum of what is kept of a day."""
        sums: Counter[tuple[int, int, int, int]] = Counter()
        number = words.number
        for record in records:
            for name, lines in record.projects.items():
                project = number(name)
                for version, installer, python, count in lines:
                    sums[project, number(version), number(installer), number(python)] += count
        made = cls(words, ((*row, count) for row, count in sums.items()))
        return made.thinned() if thin else made

    def thinned(self) -> Sheet:
        """The same, without what is told apart within a project."""
        none = self._words.number("")
        totals = self.totals()
        made = Sheet(self._words, ((one, none, none, none, totals[one]) for one in totals))
        made.thin = True
        return made

    def totals(self) -> Counter[int]:
        """How much of each project."""
        totals: Counter[int] = Counter()
        for project, count in zip(self._projects, self._counts, strict=True):
            totals[project] += count
        return totals

    def of_project(self, project: int) -> Iterator[Line]:
        """What was downloaded of one."""
        words = self._words
        begin = bisect_left(self._projects, project)
        for at in range(begin, bisect_right(self._projects, project, begin)):
            yield (
                words[self._versions[at]],
                words[self._installers[at]],
                words[self._pythons[at]],
                self._counts[at],
            )

    def __len__(self) -> int:
        return len(self._counts)
