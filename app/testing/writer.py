"""A process that saves files of the project alpha, run as a file.

Arguments: the cache's URL, its options as JSON, a name, how many files each of its two tasks
saves (0: without end). Prints the serial of each save once it has returned.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from itertools import count
from typing import Any

from app import plugins
from app.cache.base import Cache
from app.testing.cache.nouns import ALPHA, CHANGE, make_change, make_file, make_project


async def main(url: str, options: Mapping[str, Any], name: str, total: int) -> None:
    """Save one version after the other."""
    connect = plugins.backend("cache", url)
    async with connect(url, options) as cache, asyncio.TaskGroup() as group:
        await cache.save_project(make_project(), CHANGE)
        for task in range(2):
            group.create_task(write(cache, f"{name}.{task}", total))


async def write(cache: Cache, name: str, total: int) -> None:
    """One of the two."""
    for n in range(total) if total else count():
        file = make_file(f"{n}+{name}")
        change = make_change(project=ALPHA, filename=file.filename)
        print(await cache.save(file, change), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
