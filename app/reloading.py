"""Settings read anew while the service runs: what is safe to change then changes, the rest waits.

SIGHUP asks for it. Settings that cannot be leave the old ones as they are; what changed and
needs a restart is named, by its variable and never by its value.
"""

from __future__ import annotations

import asyncio
import logging
import logging.config
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from app import config, errors, logs
from app.config import Settings
from app.opening import hush
from app.state import State

APPLIED = frozenset(
    {
        ("log_level",),
        ("log_format",),
        ("upload_profile",),
        ("signup_key",),
        ("signup_expires",),
        ("metrics", "access"),
        ("metrics", "token"),
        ("tokens", "default_lifetime"),
        ("tokens", "max_lifetime"),
        *(path for path in config.fields() if path[0] in ("limits", "retention", "quotas")),
    }
)
"""What takes effect without a restart: what is looked up whenever it is needed."""

logger = logging.getLogger(__name__)


async def reload(state: State) -> None:
    """Read the settings anew, and have this process follow them as far as it can.

    ``state`` is what requests are given copies of. Nothing is raised: a service that runs goes on.
    """
    if "settings" not in state:
        return  # the start is not over, and has just read them
    old = state["settings"]
    try:
        new = await asyncio.to_thread(config.load)
    except errors.Misconfigured as wrong:
        logger.error("the settings cannot be read anew, the old ones hold: %s", wrong)
        return
    changed = [path for path in config.fields() if _at(old, path) != _at(new, path)]
    taken = [path for path in changed if path in APPLIED]
    _follow(state, _mixed(old, new, taken))
    if taken:
        logger.info("settings read anew: %s changed", _named(taken))
    else:
        logger.info("settings read anew: nothing to change")
    if left := [path for path in changed if path not in APPLIED]:
        logger.warning("changed, and needs a restart: %s", _named(left))


@contextmanager
def heeding(again: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """While the block runs, SIGHUP has ``again`` called, one call after the other.

    Where this is not the main thread signals are somebody else's.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
        yield
        return
    loop, asked = asyncio.get_running_loop(), asyncio.Event()

    async def heed() -> None:
        while True:
            await asked.wait()
            asked.clear()
            await again()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(asked.set)

    heeded = loop.create_task(heed())
    before = signal.signal(signal.SIGHUP, handle)
    try:
        yield
    finally:
        # Who asks while we end is not to end us at once.
        signal.signal(signal.SIGHUP, before if callable(before) else signal.SIG_IGN)
        heeded.cancel()


def _follow(state: State, settings: Settings) -> None:
    old, state["settings"] = state["settings"], settings
    if settings.limits != old.limits:
        state["limits"].set(settings.limits)
    if (settings.log_level, settings.log_format) != (old.log_level, old.log_format):
        logging.config.dictConfig(logs.configuration(settings.log_level, settings.log_format))
        hush()


def _mixed(old: Settings, new: Settings, taken: list[tuple[str, ...]]) -> Settings:
    """The old settings but for what is taken of the new."""
    update: dict[str, Any] = {}
    for path in taken:
        name = path[0]
        if len(path) == 1:
            update[name] = getattr(new, name)
        else:
            group = update.get(name, getattr(old, name))
            update[name] = group.model_copy(update={path[1]: _at(new, path)})
    return old.model_copy(update=update)


def _at(settings: Settings, path: tuple[str, ...]) -> Any:
    found: Any = settings
    for name in path:
        found = getattr(found, name)
    return found


def _named(paths: list[tuple[str, ...]]) -> str:
    return ", ".join(config.variable(*path) for path in paths)
