"""Sound archives with bits flipped, pieces cut out, bytes put in: no crash and no hang."""

from __future__ import annotations

import asyncio
import gzip
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import errors
from app.models import Kind
from app.upload.inspection import Inspectors
from app.upload.profile import Profile
from tests.factories import make_sdist, make_wheel
from tests.hostile.sdists import SOUND as SDIST
from tests.hostile.tars import END, pax
from tests.hostile.wheels import FILENAME, wheel

ROUNDS = 400


def mutants(content: bytes, seed: int) -> Iterator[bytes]:
    """Variations of the content, the same for the same seed."""
    dice = random.Random(seed)
    for _ in range(ROUNDS):
        spoiled = bytearray(content)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(spoiled))
            match dice.randrange(6):
                case 0:
                    del spoiled[at:]
                case 1:
                    del spoiled[at : at + dice.randrange(1, 40)]
                case 2:
                    spoiled[at:at] = dice.randbytes(dice.randrange(1, 40))
                case 3:
                    spoiled[at : at + 4] = dice.choice((b"\xff" * 4, bytes(4), b"PK\5\6"))
                case _:
                    spoiled[at] ^= 1 << dice.randrange(8)
            spoiled = spoiled or bytearray(b"\0")
        yield bytes(spoiled)


def gzipped(content: bytes) -> bytes:
    """Only what is inside is spoiled, the compression is sound."""
    return gzip.compress(content, 1, mtime=0)


SDIST_INSIDE = b"".join((SDIST[0], pax(("path", "evil-1.0/\u00e9")), *SDIST[1:], END))
CASES = {
    "wheel": (make_wheel().filename, list(mutants(make_wheel().content, 1))),
    "wheel64": (FILENAME, list(mutants(wheel(zip64={}, count=0xFFFF, here=0xFFFF), 2))),
    "stored": (FILENAME, list(mutants(make_wheel("evil", compression=0).content, 3))),
    "sdist": (make_sdist().filename, list(mutants(make_sdist().content, 4))),
    "tar": ("evil-1.0.tar.gz", [gzipped(each) for each in mutants(SDIST_INSIDE, 5)]),
}


@pytest.mark.parametrize("profile", ["strict", "import"])
@pytest.mark.parametrize("case", CASES)
async def test_mutants_are_refused_or_read(
    case: str, profile: Profile, pool: Inspectors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing but an answer or a reason comes out, and no child is lost over it."""
    filename, variants = CASES[case]
    kind = Kind.WHEEL if filename.endswith(".whl") else Kind.SDIST
    path = tmp_path / "mutant"
    pids = pool.pids
    refusals: list[str] = []
    with caplog.at_level(logging.WARNING):
        for content in variants:
            path.write_bytes(content)
            try:
                async with asyncio.timeout(10):
                    await pool.inspect(path, filename=filename, kind=kind, profile=profile)
            except errors.InvalidUpload as error:
                refusals.append(str(error))
    assert len(refusals) > ROUNDS * 0.8
    assert all(map(str.isascii, refusals))
    assert pool.pids & pids
    assert not caplog.records
