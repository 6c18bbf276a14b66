"""Descriptions: rendered apart, bounded, and without anything that could act (T16, T17)."""

from __future__ import annotations

import asyncio
import html
import re
import time

import pytest

from app.web import descriptions
from app.web.descriptions import Descriptions
from app.web.facts import Document
from app.web.rendering import clean, render

MARKDOWN = "text/markdown"


async def rendered(text: str, kind: str = MARKDOWN) -> str | None:
    """What becomes of a description."""
    return await Descriptions().html(Document(text=text, type=kind))


async def test_markdown_is_rendered() -> None:
    """With tables, highlighted code and anchors of its own."""
    made = await rendered(
        "# Hi\n\n|a|\n|-|\n|1|\n\n```python\nprint(1)\n```\n\n[in](#hi) [out](https://a.example)"
    )
    assert made is not None
    assert '<h1 id="user-content-hi">' in made
    assert "<table>" in made
    assert '<span class="nb">print</span>' in made
    assert '<a href="#user-content-hi" rel="nofollow noopener noreferrer">in</a>' in made
    assert re.search(r'<a href="https://a.example" target="_top"[^>]*>out</a>', made)


@pytest.mark.parametrize("kind", ["text/x-rst", ""])
def test_restructured_text_is_rendered(kind: str) -> None:
    """It is also what a description without a type is."""
    made = render("Hi\n==\n\n* one\n", kind)
    assert "<li>" in made
    assert "<h1>Hi" in made


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<b>no</b> & so on", "text/plain"),
        ("*broken ``rst", "text/x-rst"),
        ("# no", "application/x-unheard-of"),
        ("# no", "text/markdown; variant=Other"),
    ],
)
def test_what_cannot_be_rendered_is_shown_as_it_is(text: str, kind: str) -> None:
    """Escaped, never guessed at."""
    assert render(text, kind) == f"<pre>{html.escape(text)}</pre>"


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://tracker.example/pixel.png)",
    "<svg onload=alert(1)><use href=//evil.example/x></svg>",
    "[x](javascript:alert(1))",
    "[x](data:text/html,<script>1</script>)",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<iframe src=//evil.example></iframe><object data=x></object><embed src=x>",
    "<form action=//evil.example><input name=csrf><button>Log in</button></form>",
    "<style>body{display:none}</style><link rel=stylesheet href=//evil.example>",
    "<div style='position:fixed' class='top button' id=main>Log in again</div>",
    "<meta http-equiv=refresh content='0;url=//evil.example'><base href=//evil.example>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<p title='</p><script>alert(1)</script>'>",
    "<video poster=//evil.example src=x></video><audio src=//evil.example></audio>",
    "```html\n<script>alert(1)</script>\n```",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_it_can_act(text: str) -> None:
    """No script, no handler, no form, no style, no address that is asked for by itself."""
    for kind in (MARKDOWN, "text/markdown; variant=CommonMark"):
        made = render(f"before\n\n{text}\n\nafter", kind)
        live = re.findall(r"<[^>]*>", made)
        tags = {tag.strip("</> ").split()[0].lower() for tag in live if tag.strip("</> ")}
        assert not tags & {
            "script", "style", "form", "input", "button", "iframe", "object", "embed", "svg",
            "math", "link", "meta", "base", "video", "audio",
        }  # fmt: skip
        joined = " ".join(live).lower()
        assert not re.search(r"\son\w+=|\sstyle=|\ssrc=|javascript:|data:", joined)
        assert not re.search(r'\sid="(?!user-content-)', joined)
        for classes in re.findall(r'class="([^"]*)"', joined):
            assert "top" not in classes.split()


def test_rest_cannot_read_files_or_raw_html() -> None:
    """What docutils would include stays outside."""
    for text in (
        ".. include:: /etc/passwd\n",
        ".. raw:: html\n\n   <script>alert(1)</script>\n",
        ".. csv-table::\n   :file: /etc/passwd\n",
    ):
        made = render(f"Title\n=====\n\n{text}", "text/x-rst")
        assert "root:" not in made
        assert "<script>" not in made


BOMBS = {
    "nesting": (">" * 50_000, MARKDOWN),
    "substitutions": (
        "".join(f".. |a{n}| replace:: |a{n + 1}| |a{n + 1}|\n" for n in range(16))
        + ".. |a16| replace:: x\n\n|a0|\n",
        "text/x-rst",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_what_takes_too_long_is_ended(name: str) -> None:
    """Two seconds of processor time; the reader is shown the text itself, and told once."""
    kept = Descriptions()
    document = Document(text=BOMBS[name][0], type=BOMBS[name][1])
    assert await kept.html(document) is None
    began = time.monotonic()
    assert await kept.html(document) is None
    assert time.monotonic() - began < 0.5


async def test_a_long_one_is_not_rendered() -> None:
    """More than a MiB is for reading as it is."""
    assert await rendered("x" * (descriptions.LIMIT + 1)) is None


async def test_one_is_rendered_once() -> None:
    """Whoever waits for the same waits together, and the next one does not wait."""
    kept = Descriptions(at_once=1)
    document = Document(text="# Once", type=MARKDOWN)
    first, second = await asyncio.gather(kept.html(document), kept.html(document))
    assert first is second
    assert await kept.html(document) is first


async def test_what_was_not_done_in_time_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while: the machine may have had much to do."""
    kept = Descriptions()
    document = Document(text="# Late", type=MARKDOWN)
    monkeypatch.setattr(descriptions, "DEADLINE", 0.0)
    assert await kept.html(document) is None
    monkeypatch.undo()
    assert await kept.html(document) is None
    monkeypatch.setattr(descriptions, "AGAIN", 0.0)
    other = Descriptions()
    monkeypatch.setattr(descriptions, "DEADLINE", 0.0)
    assert await other.html(document) is None
    monkeypatch.undo()
    made = await other.html(document)
    assert made is not None
    assert "Late" in made
    assert await other.html(document) is made


async def test_little_is_kept() -> None:
    """The least recently used go first."""
    kept = Descriptions(memory=1)
    one = Document(text="# One", type=MARKDOWN)
    assert await kept.html(one) == await kept.html(one)


def test_inner_links_stay_in_their_frame() -> None:
    """Others leave it, for a frame shows nothing of another site."""
    made = clean('<a title="t" href="#user-content-x">x</a><a href="https://a.example/#x">y</a>')
    assert 'href="#user-content-x" rel' in made
    assert made.count('target="_top"') == 1
