"""HTML → what a page of the Simple API says in it: anchors, named metas, the base. Pure.

Every character is looked at a fixed number of times, whatever stands there: a page is
somebody else's, and the parser of the standard library takes minutes for some short ones.
What is not finished is passed over to the end, as in browsers.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from html.entities import html5

_NAME = re.compile(r"[A-Za-z][^\s/>]*+")
_ATTRIBUTE = re.compile(
    r"[\s/]*+(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<bare>(?![\"'])[^\s>]*+)))?)"
)
_OPEN_QUOTE = re.compile(r"\s*+=\s*+[\"']")
_REFERENCE = re.compile(r"&(?:#[0-9]++|#[xX][0-9a-fA-F]++|[A-Za-z][A-Za-z0-9]*+)[;=]?")
_TEXT_ALONE = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
"""Elements in which nothing is markup but their own end."""


@dataclass(slots=True)
class Document:
    """Metas by their names in lower case; anchors that have a href, with their attributes
    and text."""

    metas: dict[str, str] = field(default_factory=dict)
    anchors: list[tuple[dict[str, str], str]] = field(default_factory=list)
    base: str | None = None


class _Reading:
    """One pass over a text."""

    def __init__(self, text: str) -> None:
        self.document = Document()
        self._text = text
        self._anchor: dict[str, str] | None = None
        self._inside: list[str] = []

    def run(self) -> None:
        text, at = self._text, 0
        while 0 <= at < len(text):
            start = text.find("<", at)
            self._say(text[at : start if start >= 0 else None])
            at = self._after(start) if start >= 0 else -1

    def _after(self, start: int) -> int:
        """Where text goes on behind a ``<``; -1 where there is no more."""
        text, follows = self._text, self._text[start + 1 : start + 2]
        if text.startswith("<!--", start):
            return _behind(text.find("-->", start + 2), 3)
        if follows in ("!", "?"):
            return _behind(text.find(">", start), 1)
        if follows == "/":
            name = _NAME.match(text, start + 2)
            if name is not None and name[0].lower() == "a":
                self._end_anchor()
            return _behind(text.find(">", start), 1)
        name = _NAME.match(text, start + 1)
        if name is None:
            self._say("<")
            return start + 1
        return self._element(name[0].lower(), name.end())

    def _element(self, name: str, at: int) -> int:
        attributes: dict[str, str] = {}
        while True:
            found = _ATTRIBUTE.match(self._text, at)
            if found is None:
                return -1
            at = found.end()
            if found["end"]:
                break
            if _OPEN_QUOTE.match(self._text, at):
                return -1
            value = next((v for v in found.group("double", "single", "bare") if v is not None), "")
            attributes.setdefault(found["name"].lower(), _value(value))
        self._begin(name, attributes)
        if (end := _TEXT_ALONE.get(name)) is not None:
            closing = end.search(self._text, at)
            return -1 if closing is None else closing.start()
        return at

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if name == "meta" and "name" in attributes:
            self.document.metas[attributes["name"].lower()] = attributes.get("content", "")
        elif name == "base" and "href" in attributes and self.document.base is None:
            self.document.base = attributes["href"]
        elif name == "a":
            self._end_anchor()
            self._anchor, self._inside = attributes, []

    def _end_anchor(self) -> None:
        if self._anchor is not None and "href" in self._anchor:
            said = _unescaped("".join(self._inside)).strip()
            self.document.anchors.append((self._anchor, said))
        self._anchor = None

    def _say(self, text: str) -> None:
        if self._anchor is not None and text:
            self._inside.append(text)


def read(text: str) -> Document:
    """What stands in a page; there is nothing that is no page."""
    reading = _Reading(text)
    reading.run()
    return reading.document


def _behind(found: int, length: int) -> int:
    return found + length if found >= 0 else -1


def _value(text: str) -> str:
    """An attribute's value; a name that only looks like a reference, as in a query, is none."""
    return _REFERENCE.sub(_dereferenced, text) if "&" in text else text


def _dereferenced(match: re.Match[str]) -> str:
    said = match[0]
    numbered = said.startswith("&#")
    known = not said.endswith("=") and said[1:] in html5
    return _unescaped(said) if numbered or known else said


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a number of thousands of digits
        return text
