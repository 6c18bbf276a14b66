"""Pages are rendered once per change, and kept within bounds."""

from __future__ import annotations

import asyncio
import gzip
import sys
from dataclasses import replace

import pytest

from app.models import Status
from app.pages import SLOW, Page, Pages, entity_tag, json_page
from app.simple import render
from app.simple.negotiate import Coding, Format
from tests.simple.pages import make_file, make_project, make_summary

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNPACK = {Coding.GZIP: gzip.decompress, Coding.ZSTD: zstd.decompress}
PLAIN, PACKED = Coding.IDENTITY, Coding.GZIP
PROJECT = make_project(*(make_file(f"holy_grail-{n}.0.tar.gz") for n in range(9)))
HUGE = make_project(*(make_file(f"holy_grail-{n}.0.tar.gz") for n in range(SLOW + 1)))


async def test_cch_1_every_representation_has_its_tag() -> None:
    """No two of format and coding share an entity tag; all are strong and quoted."""
    pages = Pages()
    made = [await pages.project(PROJECT, f, c) for f in Format for c in Coding]
    assert len({page.etag for page in made}) == len(made)
    assert all(page.etag[0] == page.etag[-1] == '"' for page in made)


async def test_cch_1_replicas_agree() -> None:
    """Another process makes the same bytes and the same tag."""
    for coding in Coding:
        one = await Pages().project(PROJECT, Format.JSON, coding)
        assert await Pages().project(PROJECT, Format.JSON, coding) == one


@pytest.mark.parametrize(
    "changed",
    [
        replace(PROJECT, serial=43, files=PROJECT.files[1:]),
        replace(PROJECT, serial=43, status=Status.ARCHIVED),
        replace(PROJECT, serial=43, files=(replace(PROJECT.files[0], yanked=""),)),
        replace(PROJECT, serial=43, files=(make_file(metadata_sha256="f" * 64),)),
    ],
)
@pytest.mark.parametrize("format", list(Format))
async def test_cch_7_a_change_is_another_page(changed: object, format: Format) -> None:
    """Delete, status, yank and a backfilled metadata change bytes and tag."""
    assert isinstance(changed, type(PROJECT))
    pages = Pages()
    before = await pages.project(PROJECT, format, PLAIN)
    after = await pages.project(changed, format, PLAIN)
    assert after.etag != before.etag
    assert after.body == render.project(changed, format)
    assert (before.serial, after.serial) == (42, 43)


async def test_an_unchanged_page_is_rendered_once() -> None:
    """Who asks again gets the very same page, small or large."""
    pages = Pages()
    for project in (PROJECT, HUGE):
        first = await pages.project(project, Format.JSON, PACKED)
        assert await pages.project(replace(project), Format.JSON, PACKED) is first
    summaries = [make_summary("a"), make_summary("b")]
    root = await pages.root(summaries, Format.JSON, PLAIN, serial=3)
    assert await pages.root(list(summaries), Format.JSON, PLAIN, serial=3) is root


async def test_who_sees_other_projects_gets_another_root() -> None:
    """A root is kept for exactly the projects it lists."""
    pages = Pages()
    alice = await pages.root([make_summary("a")], Format.JSON, PLAIN, serial=3)
    bob = await pages.root([make_summary("b")], Format.JSON, PLAIN, serial=3)
    assert b'"a"' in alice.body
    assert b'"b"' in bob.body


async def test_packed_pages_unpack() -> None:
    """A packed page holds the bytes of the plain one; a tiny one is not packed at all."""
    pages = Pages()
    plain = await pages.project(PROJECT, Format.HTML, PLAIN)
    for coding, unpack in UNPACK.items():
        packed = await pages.project(PROJECT, Format.HTML, coding)
        assert packed.coding is coding
        assert unpack(packed.body) == plain.body
    tiny = await pages.root([], Format.JSON, PACKED, serial=0)
    assert tiny.coding is PLAIN


async def test_large_pages_are_rendered_once_for_all_who_wait() -> None:
    """Simultaneous first requests share one rendering; one that gives up harms no other."""
    pages = Pages()
    built = []

    def build() -> Page:
        built.append(1)
        return json_page(b"{}", serial=1)

    waiting = [asyncio.create_task(pages.remembered(("k",), build, slow=True)) for _ in range(9)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(answer is answers[1] for answer in answers[2:])
    assert len(built) == 1


async def test_memory_is_bounded() -> None:
    """The least recently used pages go first; one larger than all memory is not kept."""
    pages = Pages(memory=5_000)
    for key in "abc":
        await pages.remembered((key,), lambda: json_page(b"x" * 500, serial=1), slow=False)
    assert pages.kept(("a",)) is not None
    await pages.remembered(("d",), lambda: json_page(b"x" * 500, serial=1), slow=False)
    assert [key for key in "abcd" if pages.kept((key,)) is None] == ["b"]
    large = await pages.remembered(("e",), lambda: json_page(b"x" * 9_000, serial=1), slow=False)
    assert len(large.body) == 9_000
    assert pages.kept(("e",)) is None
    assert pages.kept(("a",)) is not None


def test_equal_bytes_of_two_types_are_two_representations() -> None:
    """The media type is part of the tag."""
    assert entity_tag(b"x", "text/html", PLAIN) != entity_tag(b"x", "text/plain", PLAIN)
