"""Connections to one upstream that are kept for the next question, for a moment.

Setting one up costs round trips, and with TLS most of what a short answer costs. One is kept
where its answer ended as it should, with nothing behind it; what is found closed, or says
anything unasked, is not used again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from app.outbound import Outbound, Target

IDLE = 4.0
"""Seconds that one is kept: less than servers keep theirs."""
MOST = 8
"""Of one origin."""

Origin = tuple[str, str, int]


@dataclass(slots=True)
class Connection:
    """An open one; ``used``: it has carried an answer before."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: bool = False
    dropping: asyncio.TimerHandle | None = None

    @property
    def silent(self) -> bool:
        """Whether it is open, and nothing came since its last answer."""
        reader: Any = self.reader
        return not (reader.at_eof() or self.writer.is_closing() or reader._buffer)

    def close(self) -> None:
        """At once."""
        self.writer.transport.abort()


class Connections:
    """Those to the hosts of one upstream."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._idle: dict[Origin, list[Connection]] = {}
        self._closed = False

    async def take(self, to: Target, *, fresh: bool = False) -> Connection:
        """The one that was used last, or a new one. Raises what Outbound.connect raises."""
        idle = self._idle.get(to.origin, [])
        while idle and not fresh:
            one = idle.pop()
            if one.dropping is not None:
                one.dropping.cancel()
            if one.silent:
                return one
            one.close()
        return Connection(*await self._outbound.connect(to))

    def give(self, to: Target, one: Connection) -> None:
        """It may be used again."""
        idle = self._idle.setdefault(to.origin, [])
        if self._closed or len(idle) >= MOST or not one.silent:
            one.close()
            return
        one.used = True
        loop = asyncio.get_running_loop()
        one.dropping = loop.call_later(IDLE, self._drop, idle, one)
        idle.append(one)

    def close(self) -> None:
        """Keep none any more."""
        self._closed = True
        for idle in self._idle.values():
            for one in idle:
                if one.dropping is not None:
                    one.dropping.cancel()
                one.close()
            idle.clear()

    @staticmethod
    def _drop(idle: list[Connection], one: Connection) -> None:
        idle.remove(one)
        one.close()
