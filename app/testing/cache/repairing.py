"""What ``forget``, ``restore`` and ``clear`` promise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from packaging.utils import NormalizedName

from app.cache.base import Cache
from app.testing.cache.asking import names
from app.testing.cache.nouns import (
    ALPHA,
    BETA,
    CHANGE,
    SECOND,
    make_change,
    make_file,
    make_project,
)


class Repairing:
    """Repairs: one correct change at a time."""

    async def test_forgetting_a_file(self, cache: Cache) -> None:
        """A forgotten file is gone, the next newest speaks, and it may come again."""
        await cache.restore([make_project(ALPHA, make_file("1.0"), make_file("2.0"))], CHANGE)
        change = make_change("forget", project=ALPHA, version="2.0")
        serial = await cache.forget(ALPHA, make_file("2.0").filename, change)
        assert await cache.file(ALPHA, make_file("2.0").filename) is None
        assert (await cache.changes(serial - 1))[0] == replace(change, serial=serial)
        line = (await cache.projects())[0]
        assert (line.version, line.serial) == ("1.0", serial)
        assert await cache.forget(ALPHA, make_file("2.0").filename, change) == serial
        assert await cache.save(make_file("2.0"), CHANGE) > serial

    async def test_forgetting_a_project(self, cache: Cache) -> None:
        """A forgotten project is not known, nor are its files when it comes again."""
        await cache.restore([make_project(ALPHA, make_file()), make_project(BETA)], CHANGE)
        serial = await cache.forget(ALPHA, None, CHANGE)
        assert await cache.project(ALPHA) is None
        assert await cache.file(ALPHA, make_file().filename) is None
        assert await cache.project(BETA) is not None
        assert await cache.forget(ALPHA, None, CHANGE) == 0
        assert await cache.forget(ALPHA, "alpha-1.0.zip", CHANGE) == 0
        assert await cache.serial() == serial
        await cache.save_project(make_project(), CHANGE)
        assert await names(cache) == []

    async def test_restoring_tells_what_differs(self, cache: Cache) -> None:
        """One change for each project that differs, with its name; none for the others."""
        same, older = make_project("same", make_file("1.0", NormalizedName("same"))), make_project()
        await cache.restore([same, older], CHANGE)
        serial = await cache.serial()
        newer = make_project(ALPHA, make_file("1.0"), make_file("2.0"))
        assert await cache.restore([same, newer, make_project(BETA)], make_change("reindex")) == 2
        changes = await cache.changes(serial)
        assert [(c.action, c.project) for c in changes] == [("reindex", ALPHA), ("reindex", BETA)]
        for change in changes:
            assert change.project is not None
            found = await cache.project(change.project)
            assert found is not None
            assert found.serial == change.serial
        assert await cache.restore([same, newer, make_project(BETA)], CHANGE) == 0
        assert await cache.restore([], CHANGE) == 0
        assert await cache.serial() == changes[-1].serial

    async def test_restoring_takes_the_newer_one_by_one(self, cache: Cache) -> None:
        """Facts and files are compared each for itself, and nothing is removed."""
        held = [make_file("1.0", sequence=3, comment="held"), make_file("9.0")]
        await cache.restore([make_project(ALPHA, *held, sequence=3, status_reason="held")], CHANGE)
        given = [make_file("1.0", sequence=2), make_file("2.0")]
        assert await cache.restore([make_project(ALPHA, *given, sequence=2)], CHANGE) == 1
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.status_reason == "held"
        assert {f.version: f.comment for f in found.files} == {"1.0": "held", "2.0": "", "9.0": ""}
        assert await cache.restore([make_project(ALPHA, *given, sequence=4)], CHANGE) == 1
        found = await cache.project(ALPHA)
        assert found is not None
        assert (found.status_reason, len(found.files)) == (None, 3)

    @pytest.mark.parametrize("many", [1, 60])
    async def test_restoring_replaces_what_is_untrue(self, cache: Cache, many: int) -> None:
        """What is held by an event that the storage does not hold gives way to an older one."""
        held = [
            make_file(f"{n}.0", sequence=3, head=f"false {n}", comment="held", generation=SECOND)
            for n in range(1, many + 1)
        ]
        other = make_file("0.1", sequence=3, head="true", comment="held", generation=SECOND)
        facts = {"sequence": 3, "head": "false", "generation": SECOND}
        await cache.restore([make_project(ALPHA, *held, other, **facts)], CHANGE)
        serial = await cache.serial()
        given = make_project(
            ALPHA, make_file("0.1"), *(make_file(f"{n}.0") for n in range(1, many + 1))
        )
        untrue = {"false", *(file.head for file in held)}
        assert await cache.restore([given], make_change("reindex"), untrue=untrue) == 1
        found = await cache.project(ALPHA)
        assert found is not None
        assert replace(found, files=(), serial=0) == replace(given, files=())
        assert {f.filename: f for f in found.files} == {
            **{f.filename: f for f in given.files},
            other.filename: other,
        }
        assert found.serial == serial + 1 == await cache.serial()
        assert [line.version for line in await cache.projects()] == [f"{many}.0"]
        assert await cache.restore([given], CHANGE, untrue=untrue) == 0

    async def test_restoring_replaces_another_event_of_the_same_number(self, cache: Cache) -> None:
        """Of two events of one number the one that is given stands; facts and files alike."""
        held = make_project(ALPHA, make_file(comment="held"), status_reason="held")
        await cache.restore([held], CHANGE)
        given = make_project(ALPHA, make_file(head="f" * 64), head="0" * 64)
        assert await cache.restore([given], CHANGE) == 1
        found = await cache.project(ALPHA)
        assert found is not None
        assert replace(found, serial=0) == given

    async def test_restoring_keeps_the_serial_of_a_stranger(self, cache: Cache) -> None:
        """A project not known gets the serial given; later serials exceed it."""
        await cache.restore([make_project(serial=500), make_project(BETA)], CHANGE)
        alpha, beta = await cache.project(ALPHA), await cache.project(BETA)
        assert alpha is not None
        assert beta is not None
        assert alpha.serial == 500
        changes = await cache.changes(0)
        assert [c.project for c in changes] == [ALPHA, BETA]
        assert 500 < changes[0].serial < changes[1].serial == beta.serial == await cache.serial()

    async def test_restoring_gives_a_new_serial_to_what_differs(self, cache: Cache) -> None:
        """A project known already gets the serial of its change, whatever serial is given."""
        await cache.restore([make_project(serial=500)], CHANGE)
        serial = await cache.serial()
        await cache.restore([make_project(sequence=2, serial=900)], CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.serial == await cache.serial() == serial + 1

    async def test_restoring_one_project_twice(self, cache: Cache) -> None:
        """A project given twice in one call comes out as the newest of both."""
        twice = [make_project(ALPHA, make_file("1.0")), make_project(ALPHA, make_file("2.0"))]
        assert await cache.restore(twice, CHANGE) == 2
        found = await cache.project(ALPHA)
        assert found is not None
        assert {f.version for f in found.files} == {"1.0", "2.0"}

    async def test_clearing_forgets_all_but_the_serials(self, cache: Cache) -> None:
        """After clear nothing is known, it was not built, and serials go on growing."""
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await cache.set_built()
        assert await cache.built()
        serial = await cache.serial()
        await cache.clear()
        assert not await cache.built()
        assert await cache.project(ALPHA) is None
        assert await names(cache) == []
        assert list(await cache.changes(0)) == []
        assert await cache.shown_serial() == 0
        assert await cache.record(CHANGE) > serial

    @pytest.mark.parametrize("floor", [0, 1, 700])
    async def test_clearing_takes_a_floor(self, cache: Cache, floor: int) -> None:
        """Serials after clear exceed the floor and every serial given before."""
        before = [await cache.record(CHANGE) for _ in range(3)]
        await cache.clear(floor)
        assert await cache.record(CHANGE) > max(*before, floor)
