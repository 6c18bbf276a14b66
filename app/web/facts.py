"""What core metadata says of a release, as its page shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from packaging.metadata import parse_email
from packaging.requirements import InvalidRequirement, Requirement

from app import errors, names

_MOST = 500
"""Of whatever there may be many."""
_LONG = 2_000
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that its author gave; http or https."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A requirement; ``project`` is its normalised name, empty where it cannot be read."""

    text: str
    project: str
    extra: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the metadata says; all of it is a stranger's."""

    summary: str = ""
    requires_python: str = ""
    license: str = ""
    license_files: tuple[str, ...] = ()
    author: str = ""
    maintainer: str = ""
    keywords: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    links: tuple[Link, ...] = ()
    description_type: str = ""
    described: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A description as its author wrote it; ``type`` is a media type, empty: not told."""

    text: str
    type: str


def read(metadata: bytes) -> tuple[Facts, Document]:
    """Facts and description. It is read leniently: what may come in was checked at the door."""
    raw: Mapping[str, Any] = parse_email(metadata)[0]
    document = _document(raw)
    facts = Facts(
        summary=_line(raw.get("summary")),
        requires_python=_line(raw.get("requires_python")),
        license=_line(raw.get("license_expression")) or _line(raw.get("license"))[:100],
        license_files=_lines(raw.get("license_files")),
        author=_person(raw.get("author"), raw.get("author_email")),
        maintainer=_person(raw.get("maintainer"), raw.get("maintainer_email")),
        keywords=_lines(raw.get("keywords")),
        classifiers=_lines(raw.get("classifiers")),
        extras=_lines(raw.get("provides_extra")),
        dependencies=tuple(_dependency(line) for line in _lines(raw.get("requires_dist"))),
        links=tuple(_links(raw)),
        description_type=document.type,
        described=bool(document.text.strip()) and document.text.strip() != "UNKNOWN",
    )
    return facts, document


def described(metadata: bytes) -> Document:
    """The description alone: reading all requirements may take a hundred times as long."""
    return _document(parse_email(metadata)[0])


def _document(raw: Mapping[str, Any]) -> Document:
    return Document(
        text=raw.get("description") or "", type=_line(raw.get("description_content_type"))
    )


def _line(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "" if text == "UNKNOWN" else " ".join(text[:_LONG].split())


def _lines(values: object) -> tuple[str, ...]:
    several = values if isinstance(values, list) else []
    return tuple(line for line in map(_line, several[:_MOST]) if line)


def _person(name: object, address: object) -> str:
    return _line(name) or _line(address)


def _dependency(line: str) -> Dependency:
    project = ""
    # What cannot be read is shown as text.
    with suppress(InvalidRequirement, errors.InvalidName, RecursionError):
        project = str(names.normalize(Requirement(line).name))
    extra = _EXTRA.search(line)
    return Dependency(text=line, project=project, extra=extra[1] if extra else "")


def _links(raw: Mapping[str, Any]) -> Iterable[Link]:
    urls: Mapping[str, str] = raw.get("project_urls") or {}
    given: Sequence[tuple[str, object]] = [
        ("Homepage", raw.get("home_page")),
        ("Download", raw.get("download_url")),
        *list(urls.items())[:_MOST],
    ]
    for label, url in given:
        if isinstance(url, str) and _is_web(url.strip()):
            yield Link(label=_line(label), url=url.strip())


def _is_web(url: str) -> bool:
    if len(url) > _LONG or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
