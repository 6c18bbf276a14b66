"""Work that goes on though its caller is cancelled."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from app.unbroken import Unbroken, begun


async def work(gate: asyncio.Event, done: list[str], fails: bool = False) -> str:
    """Wait for the gate, then leave a mark or fail."""
    await gate.wait()
    if fails:
        raise ValueError("failed")
    done.append("done")
    return "answer"


async def test_a_caller_gets_the_answer_or_the_failure() -> None:
    """As if it had awaited the work itself."""
    run, gate = Unbroken(), asyncio.Event()
    gate.set()
    assert await run(work(gate, [])) == "answer"
    with pytest.raises(ValueError, match="failed"):
        await run(work(gate, [], fails=True))


async def test_work_outlives_its_caller() -> None:
    """Cancelled, the caller is gone at once; the work is done all the same, and settled waits."""
    run, gate, done = Unbroken(), asyncio.Event(), list[str]()
    caller = asyncio.create_task(run(work(gate, done)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not done
    gate.set()
    await run.settled()
    assert done == ["done"]


@pytest.mark.parametrize("through", ["unbroken", "begun"])
async def test_a_failure_that_nobody_waits_for_is_no_error(through: str) -> None:
    """The event loop has nothing to report of it."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
    gate, run = asyncio.Event(), Unbroken()
    if through == "unbroken":
        caller = asyncio.create_task(run(work(gate, [], fails=True)))
        await asyncio.sleep(0.01)
        caller.cancel()
    else:
        begun(work(gate, [], fails=True))
    gate.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert reported == []
