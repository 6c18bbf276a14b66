"""Where bytes of upstreams lie while they come."""

from __future__ import annotations

import hashlib
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from app import errors
from app.storage.file import WORTH_TAKING, connect
from app.testing.storage import content
from app.unbroken import Unbroken
from app.upstream.spools import Spool

PARTS = [b"a" * WORTH_TAKING, b"b" * 1000]


async def test_what_came_is_kept_without_being_copied(tmp_path: Path) -> None:
    """The spool's file becomes the stored one, and can be read on meanwhile."""
    spool = Spool(tmp_path, Unbroken())
    await spool.open()
    digest = hashlib.sha256()
    await spool.append(PARTS, [digest])
    async with connect(f"file:{tmp_path}/storage", {}) as storage:
        async with aclosing(spool.whole()) as whole:
            await storage.put("a/b", whole, size=spool.written, sha256=digest.hexdigest())
            assert isinstance(whole.source, int)
            kept = (tmp_path / "storage" / "a" / "b").stat()
            assert os.fstat(whole.source).st_ino == kept.st_ino
        assert await spool.read(WORTH_TAKING, 2000) == PARTS[1]
        await spool.close()
        assert await content(storage, "a/b") == b"".join(PARTS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["storage"]


async def test_what_is_closed_is_no_more_at_hand(tmp_path: Path) -> None:
    """Its number may be another file's by then."""
    spool = Spool(tmp_path, Unbroken())
    await spool.open()
    await spool.close()
    with pytest.raises(errors.Unreachable, match="no longer at hand"):
        spool.whole()
