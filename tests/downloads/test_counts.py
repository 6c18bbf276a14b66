"""Rows that are told apart, and fewer and fewer of them."""

from __future__ import annotations

from app.downloads.counts import Counts, Record, without

PIP = ("pip", "3.12")


def total(counts: Counts) -> int:
    """All that was counted."""
    return sum(sum(rows.values()) for rows in counts.rows.values())


class TestBounds:
    """However many rows there would be."""

    def test_many_tools_become_other(self) -> None:
        """First it is forgotten who downloads, of what is new alone."""
        counts = Counts(keys=3)
        for number in range(10):
            counts.add("demo", ("1.0", (f"tool{number}", "")))
        assert counts.rows["demo"][("1.0", ("other", ""))] == 7
        counts.add("demo", ("1.0", ("tool0", "")))
        assert counts.rows["demo"][("1.0", ("tool0", ""))] == 2

    def test_many_versions_and_projects_become_one(self) -> None:
        """Then which version it is, and at last which project; nothing is lost."""
        counts = Counts(keys=5)
        for number in range(1000):
            counts.add(f"demo{number % 100}", (f"{number}.0", PIP))
        assert counts.size <= 3 * 5 + 1
        assert counts.size == sum(map(len, counts.rows.values()))
        assert total(counts) == 1000
        assert counts.rows[""][("", ("other", ""))] > 900


def test_a_record_is_the_same_again() -> None:
    """What is kept of counts makes the same counts."""
    counts = Counts()
    counts.add("demo", ("1.0", PIP), 3)
    counts.add("other", ("2.0", ("uv", "")))
    again = Counts()
    again.merge(counts.record())
    assert again.rows == counts.rows


def test_what_is_not_written_yet() -> None:
    """The difference between what was counted and what is kept."""
    counts = Counts()
    counts.add("demo", ("1.0", PIP), 3)
    counts.add("demo", ("2.0", PIP))
    rest = without(counts, Record({"demo": [("1.0", "pip", "3.12", 2), ("2.0", "pip", "3.12", 1)]}))
    assert rest.rows == {"demo": {("1.0", PIP): 1}}
