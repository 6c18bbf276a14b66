"""What a search finds, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from packaging.utils import NormalizedName

from app.models import ProjectSummary
from app.web.ranking import Corpus, How


def summary(name: str, text: str = "") -> ProjectSummary:
    """A project of this name and summary."""
    return ProjectSummary(
        name=NormalizedName(name),
        display_name=name,
        version="1.0",
        summary=text,
        updated=datetime(2026, 1, 1, tzinfo=UTC),
        serial=1,
        generation="g",
    )


CORPUS = Corpus(
    [
        summary("requests", "HTTP for people"),
        summary("requests-cache", "Keeps answers"),
        summary("aiorequests", "the same, asynchronous"),
        summary("requets", "somebody's slip"),
        summary("wire", "sends requests by hand"),
        summary("zlib-ng", "nothing to do with it"),
    ]
)


def test_the_best_comes_first() -> None:
    """The name itself, what begins with it, what holds it, what looks like it, then summaries."""
    found = [(match.summary.name, match.how) for match in CORPUS.search("requests")]
    assert found == [
        ("requests", How.EXACT),
        ("requests-cache", How.PREFIX),
        ("aiorequests", How.NAME),
        ("requets", How.TYPO),
        ("wire", How.TEXT),
    ]


@pytest.mark.parametrize("typed", ["reqeusts", "requsts", "requestss", "rquests"])
def test_slips_find_what_was_meant(typed: str) -> None:
    """A letter too few, too many, or two in the wrong order."""
    assert "requests" in [match.summary.name for match in CORPUS.search(typed)]


@pytest.mark.parametrize("typed", ["Zlib_NG", "zlib.ng", " zlib ng ", "zlib--ng"])
def test_names_are_found_however_they_are_spelled(typed: str) -> None:
    """Normalised, as everywhere."""
    (first, *_) = CORPUS.search(typed)
    assert (first.summary.name, first.how) == ("zlib-ng", How.EXACT)


def test_all_words_must_be_there() -> None:
    """Of a summary, or of name and summary together."""
    assert [match.summary.name for match in CORPUS.search("people http")] == ["requests"]
    assert CORPUS.search("people nowhere") == []


def test_without_a_query_there_is_everything() -> None:
    """In the order in which it is listed."""
    assert [match.summary.name for match in CORPUS.search("  ")][:2] == [
        "requests",
        "requests-cache",
    ]


@pytest.mark.parametrize("typed", ["-", "...", "%", "ß", "\u200b", "a" * 200, "勤怠"])
def test_whatever_is_typed_is_searched_for(typed: str) -> None:
    """Nothing that people type makes it fail."""
    assert isinstance(CORPUS.search(typed), list)
