"""Watching backends of access for changes that nobody tells of.

What this service changes is told through the changes of the index. An edit whose process died
before it told, and edits by other hands, are noticed here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import errors
from app.access.base import Access
from app.hot import REMEMBERED, Hot

EVERY = 1.0
"""Seconds between two looks at a backend that can say whether anything changed."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def watching(access: Access, hot: Hot, *, every: float = EVERY) -> AsyncIterator[None]:
    """Forget the rights that ``hot`` knows whenever they may have changed, while the block runs.

    A backend with a method ``edition`` says by another answer that something changed; of one
    that cannot say, nothing is remembered for longer than REMEMBERED seconds.
    """
    task = asyncio.create_task(_watch(access, hot, every))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(access: Access, hot: Hot, every: float) -> None:
    seen: str | None = None
    forgot = time.monotonic()
    while True:
        await asyncio.sleep(every)
        edition = await _edition(access)
        if edition is None and time.monotonic() - forgot < REMEMBERED - every:
            continue
        if edition is None or edition != seen:
            hot.drop_rights()
            forgot = time.monotonic()
        seen = edition


async def _edition(access: Access) -> str | None:
    ask = getattr(access, "edition", None)
    if ask is None:
        return None
    try:
        edition: str | None = await ask()
    except errors.Unavailable:
        return None
    except Exception:  # a task that ends lets rights be remembered for ever
        logger.exception("whether rights changed cannot be found out")
        return None
    return edition
