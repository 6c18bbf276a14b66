"""Counting the calls to a backend, around it: it does not know."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TypeVar

from app import errors
from app.metrics import Meters
from app.watched import Ended, watched

T = TypeVar("T")

STORAGE = frozenset({"create", "put", "head", "url", "delete", "delete_many"})
STREAMS = frozenset({"get", "scan"})
CACHE = frozenset(
    {
        *("project", "outline", "file", "projects", "search", "save", "save_project", "restore"),
        *("forget", "record", "serial", "shown_serial", "changes", "prune", "clear", "built"),
    }
)
ACCESS = frozenset({"identify", "known", "grants", "all_grants", "edition"})


def metered(
    backend: T, room: str, meters: Meters, calls: frozenset[str], streams: frozenset[str] = STREAMS
) -> T:
    """The backend itself, to whoever uses it; its calls are counted and timed."""
    running = 0

    def count() -> int:
        return running

    def begun(name: str) -> Ended:
        nonlocal running
        running += 1
        at = perf_counter()

        def ended(error: BaseException | None) -> None:
            nonlocal running
            running -= 1
            meters.timing("call_seconds", room, name).observe(perf_counter() - at)
            meters.count("calls", room, name, outcome(error)).value += 1

        return ended

    meters.watch("calls_running", count, room)
    return watched(backend, begun, calls, streams)


def outcome(error: BaseException | None) -> str:
    """``ok``; ``refused``: an answer too, if not the one that was hoped for; ``error``."""
    if error is None:
        return "ok"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    refused = errors.NotFound | errors.Refused | errors.Invalid
    return "refused" if isinstance(error, refused) else "error"
