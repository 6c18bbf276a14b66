"""How often what was downloaded by whom: numbers in a dictionary that cannot grow for ever."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from app.downloads.agents import OTHER, Agent

KEYS = 20_000
"""Rows that are told apart in full; three times as many are kept."""

Row = tuple[str, Agent]
"""A version, and who downloads it."""
Line = tuple[str, str, str, int]
"""As it is kept: version, installer, Python, count."""


class Record(msgspec.Struct, omit_defaults=True):
    """What is kept of a day: by project; ``parts`` are those that it was put together from."""

    projects: dict[str, list[Line]]
    parts: tuple[str, ...] = ()


class Counts:
    """By project, version and whoever downloads.

    What comes when there are ``keys`` rows is told apart less and less: no more by who downloads
    it, at twice as many no more by version, and at three times no more by project.
    """

    __slots__ = ("keys", "rows", "size")

    def __init__(self, keys: int = KEYS) -> None:
        self.keys = keys
        self.rows: dict[str, dict[Row, int]] = {}
        self.size = 0

    def add(self, project: str, row: Row, count: int = 1) -> None:
        """Count so many more."""
        places = (
            (project, row),
            (project, (row[0], OTHER)),
            (project, ("", OTHER)),
            ("", ("", OTHER)),
        )
        for level, (name, one) in enumerate(places, 1):
            rows = self.rows.get(name)
            if rows is not None and one in rows:
                rows[one] += count
                return
            if self.size < level * self.keys or level == len(places):
                self.rows.setdefault(name, {})[one] = count
                self.size += 1
                return

    def merge(self, record: Record) -> None:
        """Count what was kept."""
        for project, lines in record.projects.items():
            for version, installer, python, count in lines:
                self.add(project, (version, (installer, python)), count)

    def record(self, parts: Iterable[str] = ()) -> Record:
        """As it is kept, as it is now."""
        projects = {
            project: [(version, *who, count) for (version, who), count in rows.items()]
            for project, rows in self.rows.items()
        }
        return Record(projects, tuple(parts))


def without(counts: Counts, written: Record) -> Counts:
    """What was counted beyond what is written already."""
    was = {
        (project, (version, (installer, python))): count
        for project, lines in written.projects.items()
        for version, installer, python, count in lines
    }
    rest = Counts(counts.keys)
    for project, rows in counts.rows.items():
        for row, count in rows.items():
            if (more := count - was.get((project, row), 0)) > 0:
                rest.add(project, row, more)
    return rest
