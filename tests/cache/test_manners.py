"""Writers to one table of DynamoDB who let each other write."""

from __future__ import annotations

import heapq
import random

import pytest

from app.cache.dynamodb.manners import LONGEST, Manners

WRITES = 50
TOOK = 0.05
"""Seconds of an attempt."""


def race(writers: int) -> tuple[float, int]:
    """Writers who never rest: attempts a write, and the most losses of one write.

    An attempt comes too late where another succeeded since it began.
    """
    manners = [Manners() for _ in range(writers)]
    left, losses = [WRITES] * writers, [0] * writers
    attempts, most, won_last = 0, 0, 0.0
    under_way = [(TOOK + each.pause(), number) for number, each in enumerate(manners)]
    heapq.heapify(under_way)
    while under_way:
        ends, number = heapq.heappop(under_way)
        attempts += 1
        if won_last <= ends - TOOK:
            won_last = ends
            manners[number].won(TOOK)
            left[number] -= 1
            losses[number] = 0
        else:
            manners[number].lost(TOOK)
            losses[number] += 1
            most = max(most, losses[number])
        if left[number]:
            heapq.heappush(under_way, (ends + manners[number].pause() + TOOK, number))
    return attempts / (writers * WRITES), most


def test_a_lone_writer_never_waits() -> None:
    """Without others there is no pause at all, and soon none again once they are gone."""
    manners = Manners()
    for _ in range(3):
        assert manners.pause() == 0
        manners.won(TOOK)
    for _ in range(100):
        manners.lost(1)
        assert manners.pause() <= LONGEST
    assert max(manners.pause() for _ in range(100)) > 0
    for _ in range(20):
        manners.won(TOOK)
    assert manners.pause() == 0


@pytest.mark.parametrize("writers", [2, 8, 16])
def test_everybody_has_a_turn(writers: int) -> None:
    """Of writers who never rest none comes too late for ever, and few attempts are in vain."""
    random.seed(7)
    rate, most = race(writers)
    assert rate < 4
    assert most < 40
