"""The languages of the pages: English in the templates, others by a table of texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

TRANSLATIONS = Path(__file__).parent.parent / "translations"
_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]{1,35})?\s*(?:;\s*q=([0-9.]{1,5})\s*)?\Z"
)
_UNITS = ("kB", "MB", "GB", "TB")
_STEPS = (
    (timedelta(days=365), "{n} year ago", "{n} years ago"),
    (timedelta(days=30), "{n} month ago", "{n} months ago"),
    (timedelta(days=1), "{n} day ago", "{n} days ago"),
    (timedelta(hours=1), "{n} hour ago", "{n} hours ago"),
    (timedelta(minutes=1), "{n} minute ago", "{n} minutes ago"),
)
_AHEAD = (
    (timedelta(days=1), "in {n} day", "in {n} days"),
    (timedelta(hours=1), "in {n} hour", "in {n} hours"),
    (timedelta(minutes=1), "in {n} minute", "in {n} minutes"),
)


@dataclass(frozen=True, slots=True)
class Language:
    """One language; ``texts`` maps the English of the templates to its own, or to the same."""

    code: str
    name: str
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)

    def text(self, english: str, /, **values: object) -> str:
        """A text, with values in the place of its ``{names}``."""
        found = self.texts.get(english, english)
        return found.format(**values) if values else found

    def plural(self, one: str, many: str, n: int, /, **values: object) -> str:
        """The text for this number, which is ``{n}`` in it."""
        return self.text(one if n == 1 else many, n=f"{n:,}", **values)

    def ago(self, time: datetime, now: datetime) -> str:
        """How long ago something was, roughly."""
        passed = now - time
        for step, one, many in _STEPS:
            if passed >= step:
                return self.plural(one, many, passed // step)
        return self.text("just now")

    def left(self, time: datetime, now: datetime) -> str:
        """How long it is until something, roughly."""
        for step, one, many in _AHEAD:
            if time - now >= step:
                return self.plural(one, many, (time - now) // step)
        return self.text("in a moment")


def size(count: int) -> str:
    """A number of bytes, for people."""
    if count < 1000:
        return f"{count} B"
    scaled = float(count)
    for unit in _UNITS:  # noqa: B007  # the one that it ended with
        scaled /= 1000
        if scaled < 999.5:
            break
    return f"{scaled:.1f} {unit}" if scaled < 99.95 else f"{scaled:.0f} {unit}"


def _read(code: str) -> Mapping[str, str]:
    texts: Mapping[str, str] = json.loads((TRANSLATIONS / f"{code}.json").read_text("utf-8"))
    return texts


ENGLISH = Language("en", "English")
JAPANESE = Language("ja", "日本語", _read("ja"))
LANGUAGES: Mapping[str, Language] = {one.code: one for one in (ENGLISH, JAPANESE)}


def choose(accepted: str, wanted: str = "") -> Language:
    """The language for an ``Accept-Language`` header; ``wanted``, a code, beats it."""
    if wanted in LANGUAGES:
        return LANGUAGES[wanted]
    best, liking = ENGLISH, 0.0
    for part in accepted[:1000].split(","):
        match = _RANGE.match(part)
        language = LANGUAGES.get(match[1].lower()) if match else None
        weight = _weight(match[2]) if match else 0.0
        if language is not None and weight > liking:
            best, liking = language, weight
    return best


def _weight(written: str | None) -> float:
    try:
        return 1.0 if written is None else float(written)
    except ValueError:
        return 0.0
