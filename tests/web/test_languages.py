"""The pages in English and Japanese."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.web import languages
from app.web.languages import ENGLISH, JAPANESE, choose, size

TEMPLATES = Path(languages.__file__).parents[1] / "templates"
_ONE = re.compile(r'(?<![A-Za-z0-9_.n])_\(\s*"([^"]*)"')
_SEVERAL = re.compile(r'(?<![A-Za-z0-9_.])n_\(\s*"([^"]*)",\s*"([^"]*)"')
COMPUTED = {"active", "archived", "deprecated", "quarantined", "just now", "in a moment"}
"""Texts that no template spells out."""


def texts() -> set[str]:
    """Every text of the templates, and those of times."""
    found = set(COMPUTED)
    for template in TEMPLATES.glob("*.html"):
        written = template.read_text("utf-8")
        found |= set(_ONE.findall(written))
        found |= {text for pair in _SEVERAL.findall(written) for text in pair}
    for _, one, many in (*languages._STEPS, *languages._AHEAD):
        found |= {one, many}
    return found


def test_japanese_is_complete() -> None:
    """Every text has its translation, and there is none for texts that are no more."""
    assert texts() == JAPANESE.texts.keys()


def test_translations_keep_the_places() -> None:
    """What is put into a text is put into its translation."""
    for english, translated in JAPANESE.texts.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", translated)), (
            english
        )


def test_the_table_has_no_text_twice() -> None:
    """JSON would take the last one silently."""
    pairs = json.loads(
        (languages.TRANSLATIONS / "ja.json").read_text("utf-8"), object_pairs_hook=list
    )
    assert len(pairs) == len(dict(pairs))


@pytest.mark.parametrize(
    ("header", "wanted", "code"),
    [
        ("", "", "en"),
        ("ja", "", "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "", "ja"),
        ("en-US,en;q=0.9,ja;q=0.8", "", "en"),
        ("fr;q=1, ja;q=0.5", "", "ja"),
        ("fr, *", "", "en"),
        ("ja;q=0", "", "en"),
        ("ja;q=..", "", "en"),
        ("ja", "en", "en"),
        ("en", "ja", "ja"),
        ("en", "xx", "en"),
        ("\0;;,,=", "", "en"),
    ],
)
def test_the_reader_chooses(header: str, wanted: str, code: str) -> None:
    """By the browser's languages, or by name."""
    assert choose(header, wanted).code == code


@pytest.mark.parametrize(
    ("passed", "english", "japanese"),
    [
        (timedelta(seconds=5), "just now", "たった今"),
        (timedelta(minutes=1), "1 minute ago", "1分前"),
        (timedelta(hours=5), "5 hours ago", "5時間前"),
        (timedelta(days=45), "1 month ago", "1か月前"),
        (timedelta(days=800), "2 years ago", "2年前"),
        (timedelta(days=-1), "just now", "たった今"),
    ],
)
def test_times_are_told_roughly(passed: timedelta, english: str, japanese: str) -> None:
    """In the largest unit that fits."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert ENGLISH.ago(now - passed, now) == english
    assert JAPANESE.ago(now - passed, now) == japanese


@pytest.mark.parametrize(
    ("left", "english", "japanese"),
    [
        (timedelta(days=2, hours=23), "in 2 days", "あと2日"),
        (timedelta(hours=1), "in 1 hour", "あと1時間"),
        (timedelta(minutes=59), "in 59 minutes", "あと59分"),
        (timedelta(seconds=59), "in a moment", "まもなく"),
        (timedelta(days=-1), "in a moment", "まもなく"),
    ],
)
def test_times_to_come_are_told_roughly(left: timedelta, english: str, japanese: str) -> None:
    """In the largest unit that fits, too."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert ENGLISH.left(now + left, now) == english
    assert JAPANESE.left(now + left, now) == japanese


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (5_368_709_120, "5.4 GB")],
)
def test_sizes_are_for_people(count: int, shown: str) -> None:
    """Three figures at most, in decimal units."""
    assert size(count) == shown
