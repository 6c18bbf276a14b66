"""Every hostile archive through the pool, with the memory that it took."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from app import errors
from app.models import Kind
from app.upload.inspection import Inspectors, inspectors
from tests.factories import make_wheel
from tests.hostile.archives import Hostile, catalogue
from tests.upload.inspection.conftest import Inspect
from tests.upload.inspection.processes import status

ALL = catalogue()
BROKEN = [hostile for hostile in ALL if hostile.stage == "inspection"]
LYING = [hostile for hostile in ALL if hostile.stage == "agreement"]
MIB = 1 << 20


def test_there_are_many() -> None:
    """The catalogue has more than seventy archives, each with an id of its own."""
    assert len(ALL) > 70
    assert len({hostile.id for hostile in ALL}) == len(ALL)


async def test_hostile_archives_are_refused_with_their_reason(inspect: Inspect) -> None:
    """Each is refused for what is wrong with it, in one short line of ASCII."""
    wrong: list[str] = []
    for hostile in BROKEN:
        content = hostile.build()
        try:
            await inspect(hostile.filename, content, hostile.profile)
        except errors.InvalidUpload as error:
            message = str(error)
            is_line = message.isascii() and message.isprintable() and len(message) < 400
            if not (is_line and hostile.matches(message)):
                wrong.append(f"{hostile.id}: {message}")
            assert message.startswith("Invalid distribution file. ")
        else:
            wrong.append(f"{hostile.id}: accepted")
    assert not wrong


@pytest.mark.parametrize("hostile", LYING, ids=lambda hostile: hostile.id)
async def test_lies_about_the_name_are_for_who_compares(inspect: Inspect, hostile: Hostile) -> None:
    """An archive that is sound, but speaks of another release, is read and handed on."""
    inspection = await inspect(hostile.filename, hostile.build())
    assert b"Name: " in inspection.metadata


async def test_hostile_archives_take_bounded_memory(tmp_path: Path) -> None:
    """Children stay far below their limit and the parent does not grow, whatever comes."""
    worst = [hostile for hostile in BROKEN if _is_heavy(hostile)]
    assert len(worst) > 8
    paths = [tmp_path / hostile.id for hostile in worst]
    for path, hostile in zip(paths, worst, strict=True):
        path.write_bytes(hostile.build())
    async with inspectors(count=2) as pool:
        before = status(os.getpid(), "VmRSS")
        pids = pool.pids

        async def one(path: Path, hostile: Hostile) -> None:
            with pytest.raises(errors.InvalidUpload):
                await pool.inspect(
                    path, filename=hostile.filename, kind=hostile.kind, profile=hostile.profile
                )

        await asyncio.gather(*(one(*pair) for pair in zip(paths, worst, strict=True)))
        assert pool.pids == pids
        peaks = [status(pid, "VmHWM") << 10 for pid in pids]
        grown = (status(os.getpid(), "VmRSS") - before) << 10
    assert max(peaks) < 64 * MIB
    assert grown < 16 * MIB


def _is_heavy(hostile: Hostile) -> bool:
    return any(
        word in hostile.id for word in ("bomb", "huge", "200000", "lying", "endless", "long")
    )


async def test_good_uploads_go_on_meanwhile(pool: Inspectors, tmp_path: Path) -> None:
    """Good wheels are inspected while bad ones keep the children busy."""
    made = make_wheel()
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(made.content)
    hostile = next(h for h in BROKEN if h.id == "wheel-bomb-of-a-gigabyte")
    bad.write_bytes(hostile.build())

    async def refused() -> None:
        with pytest.raises(errors.InvalidUpload):
            await pool.inspect(bad, filename=hostile.filename, kind=Kind.WHEEL, profile="strict")

    async def accepted() -> int:
        found = await pool.inspect(good, filename=made.filename, kind=Kind.WHEEL, profile="strict")
        return found.members

    bads = [asyncio.create_task(refused()) for _ in range(4)]
    assert set(await asyncio.gather(*(accepted() for _ in range(40)))) == {4}
    await asyncio.gather(*bads)
