"""A process that creates each key it reads, with its own content, and says whether it won.

Arguments: the storage's URL, its options as JSON, the content.
"""

from __future__ import annotations

import asyncio
import json
import sys

from app import plugins


async def race(url: str, options: str, content: str) -> None:
    """Create keys until the input ends."""
    async with plugins.backend("storage", url)(url, json.loads(options)) as storage:
        while key := (await asyncio.to_thread(sys.stdin.readline)).strip():
            print(await storage.create(key, content.encode()), flush=True)


if __name__ == "__main__":
    asyncio.run(race(*sys.argv[1:]))
