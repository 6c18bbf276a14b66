"""Every kind of cache, empty, one after the other: on servers of the benchmark's own.

DynamoDB is an emulator in Python: what it takes is the emulator's time, not that of AWS.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from app import plugins
from app.cache.base import Cache
from benchmarks.report import Figure
from benchmarks.server import ROOT, temporary_folder
from tests.servers import dynamodb, mariadb, postgresql, redis, running

KINDS = ("memory", "sqlite", "postgresql", "mariadb", "redis", "redis_cluster", "dynamodb")
SHARED = KINDS[1:]
"""Those that several processes may open."""


@asynccontextmanager
async def servers() -> AsyncIterator[None]:
    """While the block runs, ``url`` and ``opened`` find the servers they need."""
    running.begin()
    try:
        yield
    finally:
        running.end()


@asynccontextmanager
async def url(kind: str) -> AsyncIterator[str]:
    """An empty cache of this kind."""
    async with AsyncExitStack() as stack:
        if kind == "memory":
            yield "memory:"
        elif kind == "sqlite":
            folder: Path = stack.enter_context(temporary_folder())
            yield f"sqlite+aiosqlite:///{folder}/cache.db"
        else:
            place = {
                "postgresql": postgresql.database,
                "mariadb": mariadb.database,
                "redis": redis.database,
                "redis_cluster": redis.cluster,
                "dynamodb": dynamodb.place,
            }[kind]
            yield await stack.enter_async_context(place())


def options(kind: str) -> Mapping[str, Any]:
    """What ``connect`` wants to know besides; JSON."""
    return dynamodb.server().options if kind == "dynamodb" else {}


def settings(kind: str, url: str) -> dict[str, str]:
    """The settings of a service whose cache it is, as ``server.environment`` takes them."""
    more = {f"{kind}__{name}": str(value) for name, value in options(kind).items()}
    return {"cache": url, **more}


@asynccontextmanager
async def opened(kind: str) -> AsyncIterator[Cache]:
    """The same, opened."""
    async with (
        url(kind) as where,
        plugins.backend("cache", where)(where, options(kind)) as cache,
    ):
        yield cache


def chosen(kinds: Sequence[str], among: Sequence[str] = KINDS) -> Sequence[str]:
    """All of them where none is chosen."""
    return kinds or among


def apart(benchmark: str, kind: str, *arguments: str) -> list[Figure]:
    """The figures of one kind, measured in a process of its own: memory is nobody else's."""
    command = (sys.executable, "-m", f"benchmarks.{benchmark}", "--json", *arguments, kind)
    printed = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    return [Figure(**figure) for figure in json.loads(printed)["figures"]]


def compared(every: Mapping[str, Sequence[Figure]], with_: str = "sqlite") -> list[Figure]:
    """The figures by name and then by kind, each beside its ratio to that of ``with_``."""
    first = every.get(with_, next(iter(every.values())))
    return [
        Figure(f"{one.name}: {kind}", one.value, f"{one.unit}  x{_ratio(one, other):.2f}")
        for number, other in enumerate(first)
        for kind, figures in every.items()
        for one in [figures[number]]
    ]


def _ratio(one: Figure, other: Figure) -> float:
    return one.value / other.value if other.value else 0.0
