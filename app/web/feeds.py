"""RSS 2.0: what is new. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a feed."""

    title: str
    url: str
    summary: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A feed; URLs are absolute, or as near to it as the settings allow."""

    title: str
    url: str
    description: str
    entries: Sequence[Entry]


def render(feed: Feed) -> bytes:
    """The document."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<rss version="2.0"><channel>',
        *(_element("title", feed.title), _element("link", feed.url)),
        *(_element("description", feed.description), _element("language", "en")),
    ]
    for one in feed.entries:
        lines += [
            "<item>",
            *(_element("title", one.title), _element("link", one.url)),
            f'<guid isPermaLink="false">{_text(one.url)}</guid>',
            _element("description", one.summary),
            _element("pubDate", format_datetime(one.time.astimezone(UTC), usegmt=True)),
            "</item>",
        ]
    return "\n".join([*lines, "</channel></rss>", ""]).encode()


def _element(name: str, value: str) -> str:
    return f"<{name}>{_text(value)}</{name}>"


def _text(value: str) -> str:
    return escape(_CONTROL.sub("\ufffd", value))
