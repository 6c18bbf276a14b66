"""What the parts of the house are asked for when somebody measures it."""

from __future__ import annotations

import asyncio
import platform
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app import __version__, errors
from app.index import Index
from app.index.progress import Progress
from app.life import Life
from app.metrics import Labels, Meters, Snapshot
from app.metrics.shared import Shared
from app.pages import Pages
from app.turns import Pool
from app.upstream.client import Client
from app.upstream.upstreams import Upstreams

TIMEOUT = 2.0
"""Seconds that the cache has to say where it is; without an answer its numbers are left out."""
_PAGE = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Parts:
    """What is looked at."""

    index: Index
    pages: Pages
    upstreams: Upstreams
    pools: Mapping[str, Pool]
    life: Life


def watch(meters: Meters, parts: Parts) -> None:
    """Have the numbers that the parts keep read with all others."""
    pages, follower = parts.pages, parts.index.follower
    meters.watch("pages_hits", lambda: pages.hits)
    meters.watch("pages_rendered", lambda: pages.rendered)
    meters.watch("pages_bytes", lambda: pages.used)
    meters.watch("serial_seen", lambda: follower.seen or 0)
    meters.watch("changes_age_seconds", lambda: _age(parts.index))
    for name, pool in parts.pools.items():
        for what in ("size", "busy", "waiting"):
            meters.watch(f"pool_{what}", partial(getattr, pool, what), name)
    for client in parts.upstreams.clients:
        _watch_upstream(meters, client)
    _watch_process(meters, parts.life)


def _watch_upstream(meters: Meters, client: Client) -> None:
    counts, name = client.counts, client.name
    outcomes = {
        "upstream_requests": ("asked", "failed"),
        "upstream_pages": ("hit", "miss", "stale"),
        "upstream_files": ("fetched", "wrong", "changed", "refused"),
    }
    for family, named in outcomes.items():
        for outcome in named:
            meters.watch(family, partial(counts.__getitem__, outcome), name, outcome)
    meters.watch("upstream_dropped", lambda: counts["dropped"], name)
    meters.watch("upstream_bytes", lambda: counts["bytes"], name)
    meters.watch("upstream_left_alone", lambda: client.breaker.state == "open", name)
    client.timed = meters.timing("upstream_seconds", name).observe


def _watch_process(meters: Meters, life: Life) -> None:
    started = time.time()
    meters.watch("build_info", lambda: 1, __version__, platform.python_version())
    meters.watch("workers", lambda: 1)
    meters.watch("draining", lambda: life.draining)
    meters.watch("started_timestamp_seconds", lambda: started)
    meters.watch("cpu_seconds", time.process_time)


async def measured(shared: Shared, index: Index) -> Snapshot:
    """All numbers, with those that have to be asked for."""
    found = await shared.collect()
    serial = await _serial(index)
    if serial is not None:
        seen = found.numbers.get(("serial_seen", ()), 0)
        found.numbers["serial", ()] = serial
        found.numbers["lag_serials", ()] = max(0, serial - seen)
    progress = await _reindexing(index)
    if progress is not None:
        _tell(found, progress)
    return found


async def resident(meters: Meters) -> None:
    """Note the memory of this process."""
    found = await asyncio.to_thread(_resident)
    meters.watch("memory_bytes", lambda: found)


def _tell(found: Snapshot, progress: Progress) -> None:
    none: Labels = ()
    found.numbers["reindex_running", none] = progress.running
    for name in ("projects", "files", "repaired", "broken"):
        found.numbers[f"reindex_{name}", none] = getattr(progress, name)
    if progress.updated is not None:
        found.numbers["reindex_updated_timestamp_seconds", none] = progress.updated.timestamp()


async def _serial(index: Index) -> int | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await index.history.serial()
    except (errors.Unavailable, TimeoutError):
        return None


async def _reindexing(index: Index) -> Progress | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await index.reindexing()
    except (errors.Unavailable, TimeoutError):
        return None


def _age(index: Index) -> float:
    age = index.age
    return -1 if age is None else age.total_seconds()


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):  # no Linux: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
