"""The process that makes HTML of one description, and ends: stdin to stdout, under limits.

It is run by app.web.descriptions. Descriptions are a stranger's: a few hundred bytes can keep a
renderer busy for hours, so all of it happens here, where the kernel ends what takes too long.
"""

from __future__ import annotations

import html
import os
import re
import sys
from email.message import Message

import nh3
from pygments.token import STANDARD_TYPES
from readme_renderer import markdown, rst
from readme_renderer.clean import ALLOWED_ATTRIBUTES, ALLOWED_TAGS

from app.upload.archives.sandbox import allow_cpu, lock_down

CPU = 2.0
MEMORY = 1 << 30
OUTPUT = 4 << 20
PREFIX = "user-content-"
_CLASSES = frozenset(STANDARD_TYPES.values()) - {""}
_TAGS = (ALLOWED_TAGS | {"del", "s", "mark", "q"}) - {"picture"}
_ATTRIBUTES = {
    **{tag: set(allowed) - {"class", "lang"} for tag, allowed in ALLOWED_ATTRIBUTES.items()},
    "span": {"class"},
    "img": {"alt"},  # its source would tell another host who reads this
}
_INNER = re.compile(r'(<a (?:[a-z]+="[^"]*" )*href="#[^"]*"(?: [a-z]+="[^"]*")*) target="_top"')
_IMAGE = re.compile(r'<img((?: [a-z]+="[^"]*")*)>')
_ALT = re.compile(r' alt="([^"]*)"')
_BOX = re.compile(r'<input((?: [a-z]+="[^"]*")*)>')


def main() -> None:
    """Lock down, read, render, write."""
    kind = sys.argv[3]
    rst.render("warm\n====\n\n.. code:: python\n\n   1\n")  # what it loads, it loads before
    markdown.render("# warm\n\n```python\n1\n```\n")
    lock_down(MEMORY, int(sys.argv[1]))
    allow_cpu(CPU)
    text = sys.stdin.buffer.read(int(sys.argv[2])).decode("utf-8", "replace")
    made = render(text, kind).encode()
    if len(made) <= OUTPUT:
        view = memoryview(made)
        while view:
            view = view[os.write(1, view) :]


def render(text: str, content_type: str) -> str:
    """HTML without script, style, form, foreign image, or an id that is not prefixed.

    ``content_type`` is that of the metadata: Markdown (GFM or CommonMark), plain text, or
    reStructuredText, which is also meant where there is none. What cannot be rendered is shown
    as it is.
    """
    message = Message()
    message["content-type"] = content_type or "text/x-rst"
    found: str | None = None
    match message.get_content_type():
        case "text/markdown":
            variant = str(message.get_param("variant") or "GFM")
            found = markdown.render(text, variant=variant)
        case "text/x-rst":
            found = rst.render(text)
    return plain(text) if found is None else clean(found)


def plain(text: str) -> str:
    """The text as it was written."""
    return f"<pre>{html.escape(text)}</pre>"


def clean(rendered: str) -> str:
    """What of a rendered description may stand in a page of ours."""
    cleaned = nh3.clean(
        rendered,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
        set_tag_attribute_values={"input": {"disabled": ""}, "a": {"target": "_top"}},
    )
    cleaned = _IMAGE.sub(_instead, cleaned)
    inner = _INNER.sub(r"\1", cleaned)  # else they would leave the frame that they stand in
    return _BOX.sub(lambda found: "☑" if "checked" in found[1] else "☐", inner)


def _instead(image: re.Match[str]) -> str:
    """What an image says of itself, in its place."""
    alt = _ALT.search(image[1])
    return f"<em>{alt[1]}</em>" if alt else ""


def _attribute(tag: str, name: str, value: str) -> str | None:
    if name == "id":
        return value if value.startswith(PREFIX) else f"{PREFIX}{value}"
    if name == "class":
        return " ".join(word for word in value.split() if word in _CLASSES) or None
    if tag == "input" and name == "type":
        return "checkbox"
    return value


if __name__ == "__main__":
    main()
