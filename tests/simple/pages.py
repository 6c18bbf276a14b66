"""Values to render, and a reader of HTML pages that shares no code with ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from packaging.utils import NormalizedName

from app.models import Actor, File, Hashes, Kind, Project, ProjectSummary

NOON = datetime(2026, 11, 22, 12, 0, 0, 120, tzinfo=UTC)
NASTY = """"'><script>alert(1)</script>&amp; — naïve"""


def make_file(filename: str = "holy_grail-1.0-py3-none-any.whl", **given: Any) -> File:
    """A published file of holy-grail; ``given`` takes the place of any field."""
    wheel = filename.endswith(".whl")
    fields: dict[str, Any] = {
        "project": NormalizedName("holy-grail"),
        "filename": filename,
        "version": filename.removesuffix(".tar.gz").split("-")[1],
        "kind": Kind.WHEEL if wheel else Kind.SDIST,
        "python_version": "py3" if wheel else "source",
        "size": 1337,
        "hashes": Hashes(sha256="a1" * 32, blake2b_256="b2" * 32, md5="c3" * 16),
        "blob": f"blobs/holy-grail/01JD0000000000000000000009/{filename}",
        "upload_time": NOON,
        "changed": NOON,
        "uploader": Actor(kind="user", id="ada"),
        "generation": "01JD0000000000000000000001",
        "sequence": 1,
        "head": "d4" * 32,
        "metadata_sha256": "e5" * 32 if wheel else None,
        "metadata_static": wheel,
    }
    return File(**(fields | given))


def make_project(*files: File, **given: Any) -> Project:
    """The project holy-grail with these files."""
    fields: dict[str, Any] = {
        "name": NormalizedName("holy-grail"),
        "display_name": "Holy.Grail",
        "generation": "01JD0000000000000000000001",
        "sequence": 1,
        "head": "f6" * 32,
        "serial": 42,
        "files": files,
    }
    return Project(**(fields | given))


def make_summary(name: str, serial: int = 1, **given: Any) -> ProjectSummary:
    """A line of the root."""
    fields: dict[str, Any] = {
        "name": NormalizedName(name.lower().replace(".", "-")),
        "display_name": name,
        "version": "1.0",
        "summary": "",
        "updated": NOON + timedelta(seconds=serial),
        "serial": serial,
        "generation": "01JD0000000000000000000001",
    }
    return ProjectSummary(**(fields | given))


@dataclass
class Element:
    """An element and the text in it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""


@dataclass
class Html(HTMLParser):
    """The elements of a page, in order. Every element but the void ones must be closed."""

    elements: list[Element] = field(default_factory=list)

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.elements, self._open = [], list[Element]()
        self.declaration = ""
        self.feed(body.decode())
        self.close()
        assert not self._open

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs))
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def anchors(self) -> list[Element]:
        """The links."""
        return [element for element in self.elements if element.tag == "a"]

    def metas(self) -> dict[str | None, str | None]:
        """The named metas."""
        metas = (element.attributes for element in self.elements if element.tag == "meta")
        return {meta["name"]: meta["content"] for meta in metas if "name" in meta}
