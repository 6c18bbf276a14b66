"""What runs beside the answers goes on, whatever goes wrong once."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from app.index.keep import keep
from tests.index.places import ALICE, Make, Place


async def test_i15_a_defect_does_not_end_the_reconciler(
    place: Place, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A record too long to be a marker is logged, and later rounds run and heal all the same."""
    await place.index.publish(make(), ALICE)
    strange = "pending/00000000T00/strange.json"
    await place.storage.create(strange, b"x" * (1 << 17))
    with caplog.at_level(logging.ERROR):
        async with keep(place.index, reconcile_every=timedelta(milliseconds=10)):
            async with asyncio.timeout(10):
                while caplog.text.count("will be tried again") < 2:
                    await asyncio.sleep(0.01)
    assert "longer than" in caplog.text
