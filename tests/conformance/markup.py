"""A reader of index pages, on nothing but html.parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True)
class Anchor:
    """One link: its attributes (None: present without value) and its text."""

    attributes: dict[str, str | None]
    text: str = ""

    @property
    def href(self) -> str:
        """Where it leads."""
        found = self.attributes["href"]
        assert found is not None
        return found


@dataclass
class Page(HTMLParser):
    """What a page says."""

    doctype: str = ""
    metas: dict[str, str] = field(default_factory=dict)
    head_metas: set[str] = field(default_factory=set)
    anchors: list[Anchor] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._anchor: Anchor | None = None
        self._in_head = False

    def handle_decl(self, decl: str) -> None:
        """The document type."""
        self.doctype = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Anchors and metas."""
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), attrs
        attributes = dict(attrs)
        if tag == "head":
            self._in_head = True
        elif tag == "body":
            self._in_head = False
        elif tag == "a":
            self._anchor = Anchor(attributes)
            self.anchors.append(self._anchor)
        elif tag == "meta" and (name := attributes.get("name")):
            self.metas[name] = attributes.get("content") or ""
            if self._in_head:
                self.head_metas.add(name)

    def handle_endtag(self, tag: str) -> None:
        """The end of an anchor."""
        if tag == "a":
            self._anchor = None
        elif tag == "head":
            self._in_head = False

    def handle_data(self, data: str) -> None:
        """The text of an anchor."""
        if self._anchor is not None:
            self._anchor.text += data


def read(body: bytes) -> Page:
    """The page."""
    page = Page()
    page.feed(body.decode())
    page.close()
    return page
