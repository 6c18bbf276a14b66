"""Work on one thing after the other, some of it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from app.abreast import abreast

MOST = 3


class Work:
    """Knows how much of it runs, and has run at most."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.begun: list[int] = []

    async def one(self, number: int) -> int:
        """What is begun later is done sooner; a seventh one fails."""
        self.begun.append(number)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(20 - number):
                await asyncio.sleep(0)
            if number == 7:
                raise ValueError("the seventh")
        finally:
            self.running -= 1
        return number

    async def all(self, count: int) -> AsyncIterator[Coroutine[Any, Any, int]]:
        """So many of it, as they come."""
        for number in range(count):
            await asyncio.sleep(0)
            yield self.one(number)


async def test_answers_come_in_order_and_no_more_runs_than_may() -> None:
    """Whether what is to be done comes by and by or is there already."""
    for count in (0, 1, 6):
        work, other = Work(), Work()
        assert [n async for n in abreast(work.all(count), MOST)] == list(range(count))
        assert [n async for n in abreast(map(other.one, range(count)), MOST)] == list(range(count))
        assert work.most <= MOST
        assert other.most == min(count, MOST)


async def test_nothing_runs_on_after_a_failure_or_a_break() -> None:
    """What had been begun is cancelled and has ended; what had not is never begun."""
    failing, broken = Work(), Work()
    with pytest.raises(ValueError, match="the seventh"):
        assert [n async for n in abreast(failing.all(20), MOST)] == []
    assert failing.begun == list(range(len(failing.begun)))
    assert 8 <= len(failing.begun) < 8 + MOST
    async with aclosing(abreast(broken.all(20), MOST)) as answers:
        assert await anext(answers) == 0
    assert broken.begun == list(range(MOST))
    assert (failing.running, broken.running) == (0, 0)
