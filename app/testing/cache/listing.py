"""What the list of projects shows."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
from packaging.utils import NormalizedName

from app.cache.base import Cache, Query
from app.models import FileState, Status
from app.testing.cache.asking import names
from app.testing.cache.nouns import (
    ALPHA,
    CHANGE,
    NOON,
    SECOND,
    make_file,
    make_project,
)


class Listing:
    """The projects that exist, in order, each with its newest release."""

    async def test_only_projects_that_exist_are_listed(self, cache: Cache) -> None:
        """Deleted names, names never filled and files of a former generation do not count."""
        old = make_file("1.0", NormalizedName("old"), generation=SECOND)
        gone = make_file("1.0", NormalizedName("gone"), state=FileState.DELETED)
        dead = make_file("1.0", NormalizedName("dead"))
        projects = [
            make_project("claimed"),
            make_project("dead", dead, deleted=True),
            make_project("gone", gone),
            make_project("old", old),
            make_project(ALPHA, make_file()),
        ]
        await cache.restore(projects, CHANGE)
        assert (
            await names(cache)
            == [p.name for p in sorted(projects, key=lambda p: p.name) if p.exists]
            == ["alpha", "gone"]
        )
        assert await names(cache, Query()) == ["alpha", "gone"]
        assert [(p.version, p.updated) for p in await cache.projects()] == [
            ("1.0", NOON),
            ("", NOON),
        ]

    async def test_deleting_and_reviving_a_project(self, cache: Cache) -> None:
        """A deleted project leaves the list; the same generation brings its files back, a new
        one does not."""
        await cache.restore([make_project(ALPHA, make_file("1.0"))], CHANGE)
        await cache.save_project(make_project(sequence=2, deleted=True), CHANGE)
        assert await names(cache) == []
        await cache.save_project(make_project(sequence=3), CHANGE)
        assert [p.version for p in await cache.projects()] == ["1.0"]
        await cache.save_project(make_project(sequence=4, generation=SECOND), CHANGE)
        assert await names(cache) == []
        await cache.save(make_file("0.5", generation=SECOND), CHANGE)
        assert [p.version for p in await cache.projects()] == ["0.5"]
        await cache.save(make_file("1.0", generation=SECOND, sequence=2), CHANGE)
        assert [p.version for p in await cache.projects()] == ["1.0"]

    async def test_a_line_shows_the_facts_of_the_project(self, cache: Cache) -> None:
        """The name as displayed, the status, the newest upload and the serial are in the list."""
        later = NOON + timedelta(days=1)
        await cache.restore([make_project(ALPHA, make_file("2.0", summary="Zwei"))], CHANGE)
        await cache.save(make_file("1.0", upload_time=later, summary="Eins"), CHANGE)
        facts = make_project(sequence=2, display_name="AlPhA", status=Status.ARCHIVED)
        serial = await cache.save_project(facts, CHANGE)
        line = (await cache.projects())[0]
        assert (line.display_name, line.status, line.serial) == ("AlPhA", "archived", serial)
        assert (line.version, line.summary, line.updated) == ("2.0", "Zwei", later)

    @pytest.mark.parametrize("order", list(permutations(("1.0", "1.1", "2.0a1", "1.1+y"))))
    async def test_the_newest_whatever_came_first(
        self, cache: Cache, order: tuple[str, ...]
    ) -> None:
        """The newest final release that is not yanked speaks; then a pre-release; then a yanked
        one."""
        project = make_project()
        await cache.save_project(project, CHANGE)
        for version in order:
            yanked = "broken" if version == "1.1+y" else None
            await cache.save(make_file(version, yanked=yanked, summary=version), CHANGE)
        newest = []
        for version in ("1.1", "1.0", "2.0a1", "1.1+y"):
            line = (await cache.projects())[0]
            assert line.summary == line.version
            newest.append(line.version)
            await cache.save(make_file(version, sequence=2, state=FileState.DELETED), CHANGE)
        assert newest == ["1.1", "1.0", "2.0a1", "1.1+y"]
        assert (await cache.projects())[0].version == ""

    async def test_yanking_and_taking_it_back(self, cache: Cache) -> None:
        """A yank lets the next newest speak, until it is taken back."""
        await cache.restore([make_project(ALPHA, make_file("1.0"), make_file("2.0"))], CHANGE)
        await cache.save(make_file("2.0", sequence=2, yanked=""), CHANGE)
        assert [p.version for p in await cache.projects()] == ["1.0"]
        await cache.save(make_file("2.0", sequence=3), CHANGE)
        assert [p.version for p in await cache.projects()] == ["2.0"]

    async def test_lists_are_ordered_and_paged(self, cache: Cache) -> None:
        """Names ascend by code point; pages joined by ``after`` are the whole."""
        every = ["a", "a-b", "a0", "ab", "b", "b-1", "ba", "z9"]
        filled = [make_project(n, make_file("1.0", NormalizedName(n))) for n in reversed(every)]
        await cache.restore(filled, CHANGE)
        assert await names(cache) == every
        paged: list[str] = []
        while page := await names(cache, after=paged[-1] if paged else "", limit=3):
            assert len(page) <= 3
            paged += page
        assert paged == every
        assert await names(cache, after="a-b", limit=1) == ["a0"]
        assert await names(cache, after="b") == ["b-1", "ba", "z9"]
        assert await names(cache, Query(names=("a",)), after="a0", limit=1) == ["ab"]
        assert await names(cache, limit=0) == []

    async def test_names_are_told_apart_and_ordered_by_code_points(self, cache: Cache) -> None:
        """Neither case nor accents nor what one language holds equal makes two names one."""
        every = ["A", "E", "a", "e", "ss", "z", "É", "ß", "é", "\u0131", "ﬀ", "\uffee", "🐍", "🐍a"]
        filled = [
            make_project(n, *(make_file("1.0", NormalizedName(n), filename=f) for f in every))
            for n in reversed(every)
        ]
        assert await cache.restore(filled, CHANGE) == len(every)
        assert await names(cache) == sorted(every)
        assert await names(cache, after="é") == ["\u0131", "ﬀ", "\uffee", "🐍", "🐍a"]
        assert await names(cache, Query(names=("🐍",))) == ["🐍", "🐍a"]
        for name in every:
            file = make_file("1.0", NormalizedName(name), filename=name, sequence=2, comment=name)
            await cache.save(file, CHANGE)
            found = await cache.project(NormalizedName(name))
            assert found is not None
            assert {f.filename: f.sequence for f in found.files} == {
                f: 2 if f == name else 1 for f in every
            }

    async def test_fifty_thousand_projects(self, cache: Cache) -> None:
        """50,000 projects are restored and listed."""
        every = [f"p{n:05}" for n in range(50_000)]
        filled = [make_project(n, make_file("1.0", NormalizedName(n))) for n in every]
        assert await cache.restore(filled, CHANGE) == len(every)
        assert await names(cache) == every
        assert await cache.shown_serial() == await cache.serial() == 50_000
