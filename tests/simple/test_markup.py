"""HTML as other people's servers write it, and as somebody writes it who means no good."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simple import markup


@pytest.mark.parametrize(
    ("text", "anchors"),
    [
        ("<a href=x>y</a>", [("x", "y")]),
        ("<A HREF = 'x' HREF='z'>y</A >", [("x", "y")]),
        ('<a href="x>y"/>z</a>', [("x>y", "z")]),
        ("<a href=1>one<a href=2>two</a>", [("1", "one"), ("2", "two")]),
        ("<a name=top>no link</a>", []),
        ("<a href=x> <b>y</b> &lt;&#x2e;.. </a>", [("x", "y <...")]),
        ("<a href=x>1 < 2</a>", [("x", "1 < 2")]),
        ("<a href=x>never closed", []),
        ("<a href=x never open", []),
        ("<a href='x>open quote</a>", []),
        ("<!-- <a href=x>y</a> --><a href=z>z</a>", [("z", "z")]),
        ("<!--><a href=z>z</a>", [("z", "z")]),
        ("<!-- <a href=x>y</a>", []),
        ("<!DOCTYPE html><?xml?><a href=z>z</a>", [("z", "z")]),
        ("<script>'<a href=x>y</a>'</script><a href=z>z</a>", [("z", "z")]),
        ("<TITLE><a href=x>y</a></Title><a href=z>z</a>", [("z", "z")]),
        ("<style><a href=x>y</a>", []),
        ('<a href="?a=1&region=eu&amp;b=2&lt;&#38;">z</a>', [("?a=1&region=eu&b=2<&", "z")]),
        (f"<a href='&#{'9' * 5000};'>z</a>", [(f"&#{'9' * 5000};", "z")]),
        (f"<a href=x>&#{'9' * 5000};</a>", [("x", f"&#{'9' * 5000};")]),
    ],
)
def test_which_anchors_a_page_has(text: str, anchors: list[tuple[str, str]]) -> None:
    """Those that a browser would find, as far as anybody relies on it."""
    found = [(attributes["href"], said) for attributes, said in markup.read(text).anchors]
    assert found == anchors


def test_metas_and_the_first_base_are_found() -> None:
    """A name of a meta is the same in capitals."""
    document = markup.read("<META Name=A content=1><base href=/x/><base href=/y/><meta content=2>")
    assert (document.metas, document.base) == ({"a": "1"}, "/x/")


@pytest.mark.parametrize(
    "part",
    ["<", "<!--", "<!", "<?", "</a ", "<a ", "<a/", "<a x='", '<a x="', "<a x= ", "&#", " =",
     "<a>&", "<a href='&", "<script>", "</script", "<title>", "<![CDATA[", "\"<a '", "&#1"],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "<a ", "<a href='", "<!--", "<script>"])
def test_no_page_takes_long(before: str, part: str) -> None:
    """What is repeated a hundred thousand times takes as long for each, not ever longer."""
    began = time.process_time()
    markup.read(before + part * 100_000)
    assert time.process_time() - began < 5


@given(st.text(alphabet="<>/!-'\"= a&#1;"))
def test_any_text_is_read(text: str) -> None:
    """And what it has are no more anchors than it opens."""
    assert len(markup.read(text).anchors) <= text.count("<a")
