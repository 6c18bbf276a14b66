"""A process that saves files: ``python -m tests.cache.writer URL NAME COUNT [OPTIONS]``.

Two tasks of it write. OPTIONS are those of the cache, in JSON. Prints the serial of each save
once it has returned; a COUNT of 0 never ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from itertools import count

from app import plugins
from app.cache.base import Cache
from tests.contracts.cache import ALPHA, CHANGE, make_change, make_file, make_project


async def main(url: str, name: str, total: int, options: Mapping[str, object]) -> None:
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
    given = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), given))
