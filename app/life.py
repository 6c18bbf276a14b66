"""How a process ends: it says so first, and goes when others had the time to notice."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Life:
    """Whether the process was told to end. From then on readiness says so."""

    draining: bool = False
    _told: list[Callable[[], None]] = field(default_factory=list)

    def tell(self, told: Callable[[], None]) -> None:
        """Register what is to be called when the end is near, in the event loop."""
        self._told.append(told)

    def drain(self) -> None:
        """The end is near."""
        if not self.draining:
            self.draining = True
            for told in self._told:
                told()


@contextmanager
def minding(life: Life, *, drain: timedelta) -> Iterator[None]:
    """While the block runs, SIGTERM is told to ``life`` first and to the server ``drain`` later.

    Meanwhile everything is answered as before, but connections are not kept. A second SIGTERM
    waits for nothing. Where this is not the main thread signals are somebody else's.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    loop = asyncio.get_running_loop()

    def end(number: int, frame: FrameType | None) -> None:
        if callable(before):
            before(number, frame)

    def begin(number: int) -> None:
        if drain:
            logger.info("told to end: not ready any more, and gone in %s", drain)
        life.drain()
        loop.call_later(drain.total_seconds(), end, number, None)

    def handle(number: int, frame: FrameType | None) -> None:
        if life.draining or not callable(before):
            end(number, frame)
        else:
            loop.call_soon_threadsafe(begin, number)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
