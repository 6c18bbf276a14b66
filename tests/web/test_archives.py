"""Looking into archives takes no more processes, memory and patience than it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app import errors
from app.models import File
from app.web.archives import WAITING, Archives
from tests.factories import make_wheel
from tests.web.values import made_file


class Shelf:
    """A wheel under many hashes, and how often its bytes were asked for; ``gate`` holds them."""

    def __init__(self) -> None:
        self.made = make_wheel("pack", files={f"pack/{number}.py": b"x" for number in range(40)})
        self.asked = 0
        self.gate = asyncio.Event()

    def file(self, number: int) -> File:
        """One of many files."""
        found = replace(made_file("1.0"), filename=self.made.filename, size=len(self.made.content))
        return replace(found, hashes=replace(found.hashes, sha256=f"{number:064x}"))

    async def content(self) -> AsyncIterator[bytes]:
        """Its bytes, once the gate is open."""
        self.asked += 1
        await self.gate.wait()
        yield self.made.content


async def test_of_many_who_ask_at_once_one_archive_is_opened(tmp_path: Path) -> None:
    """All get its listing; whoever leaves takes it from nobody."""
    shelf, archives = Shelf(), Archives(tmp_path)
    asking = [
        asyncio.create_task(archives.members(shelf.file(1), shelf.content)) for _ in range(50)
    ]
    await asyncio.sleep(0)
    asking.pop(0).cancel()
    shelf.gate.set()
    found = await asyncio.gather(*asking)
    assert all(one == found[0] for one in found)
    assert "pack/0.py" in [member.name for member in found[0]]
    assert shelf.asked == 1


async def test_no_more_than_so_many_wait(tmp_path: Path) -> None:
    """One more is refused at once; when they are done the next is taken."""
    shelf, archives = Shelf(), Archives(tmp_path)
    asking = [
        asyncio.create_task(archives.members(shelf.file(number), shelf.content))
        for number in range(WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(errors.Busy):
        await archives.members(shelf.file(WAITING), shelf.content)
    shelf.gate.set()
    await asyncio.gather(*asking)
    assert await archives.members(shelf.file(WAITING), shelf.content)


async def test_listings_are_kept_by_their_bytes(tmp_path: Path) -> None:
    """The one that was asked for longest ago goes first."""
    shelf = Shelf()
    shelf.gate.set()
    archives = Archives(tmp_path, memory=25_000)  # a listing takes some 8,000
    for number in (1, 2, 3, 1, 4):
        await archives.members(shelf.file(number), shelf.content)
    before = shelf.asked
    await archives.members(shelf.file(1), shelf.content)
    assert shelf.asked == before
    await archives.members(shelf.file(2), shelf.content)
    assert shelf.asked == before + 1


async def test_a_member_that_is_not_listed_opens_nothing(tmp_path: Path) -> None:
    """Once the listing is known."""
    shelf = Shelf()
    shelf.gate.set()
    archives = Archives(tmp_path)
    for name in ("none.py", "pack/1000.py"):
        with pytest.raises(errors.NotFound):
            await archives.text(shelf.file(1), shelf.content, name)
    assert shelf.asked == 1
