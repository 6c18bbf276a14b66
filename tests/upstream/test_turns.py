"""Turns at an upstream, over every kind of storage that replicas share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from app import plugins
from app.storage.base import Storage
from app.upstream import turns
from app.upstream.turns import ROOT, Turn, Turns
from tests.storage.conftest import (  # noqa: F401  # fixtures, asked for by name
    LASTING,
    Place,
    azurite,
    file,
    gcs_front,
    ministack,
    seaweed,
)

WHAT = "page upstream demo"
ANSWER = "what the upstream said"


@pytest.fixture(params=LASTING)
def place(request: pytest.FixtureRequest) -> Place:
    """Each storage that several processes may share."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def replicas(place: Place) -> AsyncIterator[tuple[Storage, Storage]]:
    """Two connections to it."""
    async with AsyncExitStack() as stack:
        connect = plugins.backend("storage", place.url)
        one, other = [
            await stack.enter_async_context(connect(place.url, place.options)) for _ in range(2)
        ]
        yield one, other


async def left(storage: Storage) -> list[str]:
    """The keys of turns that are under way, or were left behind."""
    return [stored.key async for stored in storage.scan(ROOT)]


async def nothing() -> str | None:
    """Nothing has come."""
    return None


async def taken(replica: Turns) -> Turn:
    """A turn, of whoever gets it at once."""
    turn = await replica.take(WHAT, nothing)
    assert isinstance(turn, Turn)
    return turn


async def test_one_asks_and_the_others_get_its_answer(replicas: tuple[Storage, Storage]) -> None:
    """As soon as it is kept; then nothing is left of the turn."""
    answers: list[str] = []

    async def arrived() -> str | None:
        return answers[0] if answers else None

    first, second = map(Turns, replicas)
    turn = await taken(first)
    waiting = [asyncio.create_task(second.take(WHAT, arrived)) for _ in range(3)]
    await asyncio.sleep(0.3)
    assert not any(one.done() for one in waiting)
    answers.append(ANSWER)
    await turn.end()
    assert await asyncio.gather(*waiting) == [ANSWER] * 3
    assert await left(replicas[0]) == []


async def test_who_found_nothing_leaves_the_turn_to_one_of_the_others(
    replicas: tuple[Storage, Storage],
) -> None:
    """To one after the other."""
    first, second = map(Turns, replicas)
    turn = await taken(first)
    waiting = [asyncio.create_task(taken(replica)) for replica in (first, second)]
    await turn.end()
    done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(others)) == (1, 1)
    await done.pop().result().end()
    await (await others.pop()).end()
    assert await left(replicas[1]) == []


async def test_a_holder_that_says_nothing_is_followed(
    replicas: tuple[Storage, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another machine, of which nobody here can know whether it lives."""
    monkeypatch.setattr(turns, "LIFE", 0.5)
    storage, other = replicas
    await (await taken(Turns(storage))).end()
    turn = await taken(Turns(storage))
    (key,) = await left(storage)
    await turn.end()
    silent = {"holder": {"id": "01HQ0000000000000000000000", "name": "elsewhere:7"}, "beat": 3}
    assert await storage.create(key, json.dumps(silent).encode())
    followers = [asyncio.create_task(taken(Turns(one))) for one in replicas]
    done, others = await asyncio.wait(followers, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(others)) == (1, 1)
    await done.pop().result().end()
    await (await others.pop()).end()
    assert await left(other) == []


async def test_patience_ends(
    replicas: tuple[Storage, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited so long for a holder that lives asks too, and takes nothing from it."""
    monkeypatch.setattr(turns, "PATIENCE", 0.3)
    first, second = map(Turns, replicas)
    turn = await taken(first)
    own = await taken(second)
    await own.end()
    assert len(await left(replicas[0])) == 1
    await turn.end()
    assert await left(replicas[0]) == []
