"""What of a listing has to be read."""

from __future__ import annotations

import pytest

from app.index.journal import Chains, Journal, key
from tests.index.places import ALICE, Make, Place


async def only(journal: Journal) -> Chains:
    """The chains of the one project there is."""
    (found,) = [chains async for chains in journal.chains()]
    return found


class TestBeyond:
    """Events that are known are not read again."""

    async def test_nothing_new(self, place: Place, make: Make) -> None:
        """Where as many events are listed as are known, nothing is beyond them."""
        for version in ("1.0", "1.1"):
            await place.index.publish(make(version=version), ALICE)
        known = await place.index.project(make().project)
        assert (await only(Journal(place.storage))).beyond(known) is None

    async def test_what_is_new(self, place: Place, make: Make) -> None:
        """A new file and a new event of an old one are to be read, with the project's own."""
        files = [
            (await place.index.publish(make(version=version), ALICE)).file
            for version in ("1.0", "1.1")
        ]
        known = await place.index.project(make().project)
        added = (await place.index.publish(make(version="1.2"), ALICE)).file
        await place.index.yank(files[:1], "why", ALICE)
        chains = await only(Journal(place.storage))
        beyond = chains.beyond(known)
        assert beyond is not None
        assert beyond.own == chains.own
        assert set(beyond.files) == {files[0].filename, added.filename}

    @pytest.mark.parametrize("numbers", [(), (2,), (1, 3), (1, 2)])
    async def test_other_events_than_known(
        self, place: Place, make: Make, numbers: tuple[int, ...]
    ) -> None:
        """A gap, an event too many and none at all are no known beginning."""
        file = (await place.index.publish(make(), ALICE)).file
        known = await place.index.project(file.project)
        chains = await only(Journal(place.storage))
        chains.files[file.filename] = [key(file.project, file.filename, n) for n in numbers]
        assert chains.beyond(known) is not None
        chains.files, chains.own = {}, [key(file.project, None, n) for n in numbers]
        assert chains.beyond(known) is not None
