"""What a storage promises further whose keys outlive the process."""

import asyncio
import hashlib
import json
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import plugins
from app.testing.storage.keys import (
    chunks,
    content,
    listed,
    put,
)

RACER = Path(__file__).parents[1] / "racer.py"
"""Run as a file, for a racer needs none of what tests import."""


class LastingContract:
    """What a storage promises further whose keys outlive the process."""

    async def test_keys_last(self, url: str, options: Mapping[str, Any]) -> None:
        """What was written is there when the storage is opened again."""
        connect = plugins.backend("storage", url)
        async with connect(url, options) as storage:
            assert await storage.create("a/created", b"created")
            await put(storage, "a/put", b"put")
        async with connect(url, options) as storage:
            assert await listed(storage) == ["a/created", "a/put"]
            assert await content(storage, "a/created") == b"created"
            assert not await storage.create("a/created", b"again")

    async def test_two_connections(self, url: str, options: Mapping[str, Any]) -> None:
        """What one process writes or deletes, another that is open sees at once."""
        connect = plugins.backend("storage", url)
        async with connect(url, options) as one, connect(url, options) as other:
            for turn in range(5):
                assert await one.create("a/b/c", b"%d" % turn)
                assert not await other.create("a/b/c", b"")
                assert await content(other, "a/b/c") == b"%d" % turn
                await other.delete("a/b/c")
                assert await one.head("a/b/c") is None

    async def test_create_raced_by_processes(self, url: str, options: Mapping[str, Any]) -> None:
        """Of processes that race to create a key exactly one wins, and the bytes are its own."""
        racers = [await self._racer(url, options, f"racer {n}") for n in range(4)]
        connect = plugins.backend("storage", url)
        async with connect(url, options) as storage:
            for round_ in range(20):
                key = f"race/{round_}/event"
                answers = await asyncio.gather(*(self._ask(racer, key) for racer in racers))
                assert answers.count("True") == 1
                assert await content(storage, key) == b"racer %d" % answers.index("True")
        for racer in racers:
            _, complaint = await racer.communicate(b"")
            assert (racer.returncode, complaint) == (0, b"")

    async def test_memory_is_bounded(self, url: str, options: Mapping[str, Any]) -> None:
        """However long a key is, a few megabytes are enough to put and get it."""
        part = bytes(2**18)
        count = 256
        whole = hashlib.sha256()
        for _ in range(count):
            whole.update(part)

        async with plugins.backend("storage", url)(url, options) as storage:
            tracemalloc.start()
            try:
                await storage.put(
                    "a/b",
                    chunks(*[part] * count),
                    size=count * len(part),
                    sha256=whole.hexdigest(),
                )
                length = 0
                async for chunk in storage.get("a/b"):
                    length += len(chunk)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert length == count * len(part)
        assert peak < length / 2

    async def _racer(
        self, url: str, options: Mapping[str, Any], content: str
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            str(RACER),
            url,
            json.dumps(dict(options)),
            content,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _ask(self, racer: asyncio.subprocess.Process, key: str) -> str:
        assert racer.stdin is not None
        assert racer.stdout is not None
        racer.stdin.write(f"{key}\n".encode())
        return (await racer.stdout.readline()).decode().strip()
