"""What every cache promises. Subclass CacheContract and give it a fixture ``cache``.

The fixture yields an empty cache, opened. Every sentence of ``app.cache.base`` is tested here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache, Query
from app.cache.memory import MemoryCache
from app.models import Actor, Change, File, FileState, Hashes, Kind, Project, Status

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
ADA = Actor(kind="user", id="Ada Lövelace")
ALPHA = NormalizedName("alpha")
BETA = NormalizedName("beta")
FIRST, SECOND = "01JD0000000000000000000001", "01JD0000000000000000000002"

every_example = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


def make_file(version: str = "1.0", project: NormalizedName = ALPHA, **given: Any) -> File:
    """A published wheel; ``given`` takes the place of any field."""
    filename = f"{project}-{version}-py3-none-any.whl"
    fields: dict[str, Any] = {
        "project": project,
        "filename": filename,
        "version": version,
        "kind": Kind.WHEEL,
        "python_version": "py3",
        "size": 1234,
        "hashes": Hashes(sha256="a" * 64, blake2b_256="b" * 64, md5="c" * 32),
        "blob": f"blobs/{project}/01JD0000000000000000000009/{filename}",
        "upload_time": NOON,
        "changed": NOON,
        "uploader": ADA,
        "generation": FIRST,
        "sequence": 1,
        "head": "d" * 64,
    }
    return File(**(fields | given))


def make_project(name: str = ALPHA, *files: File, **given: Any) -> Project:
    """An active project; ``given`` takes the place of any field."""
    fields: dict[str, Any] = {
        "name": NormalizedName(name),
        "display_name": name.title(),
        "generation": FIRST,
        "sequence": 1,
        "head": "e" * 64,
        "files": files,
    }
    return Project(**(fields | given))


def make_change(action: str = "publish", **given: Any) -> Change:
    """A change by Ada; ``given`` takes the place of any field."""
    fields: dict[str, Any] = {"action": action, "time": NOON, "actor": ADA}
    return Change(**(fields | given))


CHANGE = make_change()

_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_times = st.datetimes(timezones=st.just(UTC))
_actors = st.builds(Actor, kind=_words, id=_words)
_maybe = st.none() | _words
_numbers = st.integers(1, 2**62)
any_file = st.builds(
    File,
    project=st.just(ALPHA),
    filename=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,30}", fullmatch=True),
    version=st.sampled_from(["1.0", "1.0.0", "2!3.dev1", "1.0+local", "2004d"]) | _words,
    kind=st.sampled_from(Kind),
    python_version=_words,
    size=st.integers(0, 2**53),
    hashes=st.builds(Hashes, sha256=_words, blake2b_256=_words, md5=_words),
    blob=_words,
    upload_time=_times,
    changed=_times,
    uploader=_actors,
    generation=st.sampled_from([FIRST, SECOND]),
    sequence=_numbers,
    head=_words,
    metadata_sha256=_maybe,
    metadata_static=st.booleans(),
    requires_python=_maybe,
    summary=_words,
    comment=_words,
    yanked=_maybe,
    state=st.sampled_from(FileState),
    source=_words,
)
any_project = st.builds(
    Project,
    name=st.just(ALPHA),
    display_name=_words,
    generation=st.sampled_from([FIRST, SECOND]),
    sequence=_numbers,
    head=_words,
    status=st.sampled_from(Status),
    status_reason=_maybe,
    deleted=st.booleans(),
    serial=st.integers(0, 2**40),
    files=st.lists(any_file, max_size=4, unique_by=lambda f: f.filename).map(tuple),
)
any_change = st.builds(
    Change,
    action=_words,
    time=_times,
    actor=_actors,
    project=st.none() | st.just(ALPHA),
    filename=_maybe,
    version=_maybe,
)
_few_files = st.builds(
    make_file,
    st.sampled_from(["1.0", "2.0", "3.0a1"]),
    st.sampled_from([ALPHA, BETA]),
    sequence=st.integers(1, 4),
    generation=st.sampled_from([FIRST, SECOND]),
    state=st.sampled_from(FileState),
    yanked=st.sampled_from([None, "", "broken"]),
    summary=st.sampled_from(["One", "two"]),
    upload_time=st.integers(0, 3).map(lambda hours: NOON + timedelta(hours=hours)),
)
_few_projects = st.builds(
    make_project,
    st.sampled_from([ALPHA, BETA]),
    sequence=st.integers(1, 4),
    generation=st.sampled_from([FIRST, SECOND]),
    deleted=st.booleans(),
    serial=st.integers(0, 20),
    status=st.sampled_from(Status),
)
_few_filled = st.tuples(_few_projects, st.lists(_few_files, max_size=4)).map(
    lambda pair: replace(pair[0], files=tuple(f for f in pair[1] if f.project == pair[0].name))
)
_steps = st.one_of(
    st.tuples(st.just("save"), _few_files),
    st.tuples(st.just("save_project"), _few_projects),
    st.tuples(st.just("restore"), st.lists(_few_filled, max_size=3)),
    st.tuples(
        st.just("forget"),
        st.sampled_from([ALPHA, BETA]),
        st.sampled_from([None, make_file("1.0").filename, make_file("2.0", BETA).filename]),
    ),
    st.tuples(st.just("record")),
    st.tuples(st.just("clear")),
)


async def names(cache: Cache, query: Query | None = None, **page: Any) -> list[str]:
    """The names that a search (None: the list of projects) gives."""
    found = await (cache.projects(**page) if query is None else cache.search(query, **page))
    return [line.name for line in found]


async def follow(cache: Cache, total: int) -> list[int]:
    """The serials seen by a reader that polls until it has seen ``total`` changes."""
    seen: list[int] = []
    while len(seen) < total:
        news = await cache.changes(seen[-1] if seen else 0, limit=7)
        seen += [change.serial for change in news]
        await asyncio.sleep(0)
    return seen


def raised(step: Sequence[Any], floor: int) -> Sequence[Any]:
    """The step, with the serials that it restores near those of a cache at ``floor``."""
    if step[0] != "restore":
        return step
    return "restore", [replace(p, serial=p.serial and p.serial + floor) for p in step[1]]


async def answer_of(cache: Cache, step: Sequence[Any]) -> object:
    """What one step answers, a missing project included."""
    action, *arguments = step
    change = [] if action == "clear" else [CHANGE]
    try:
        return await getattr(cache, action)(*arguments, *change)
    except errors.ProjectNotFound:
        return errors.ProjectNotFound


async def everything(cache: Cache) -> list[object]:
    """All that can be asked of a cache with the projects alpha and beta."""
    whole = [await cache.project(name) for name in (ALPHA, BETA)]
    return [
        [replace(p, files=()) if p else None for p in whole],
        [sorted(p.files, key=lambda f: f.filename) if p else None for p in whole],
        await cache.projects(),
        await cache.search(Query(summaries=("ONE",))),
        await cache.changes(0),
        await cache.serial(),
        await cache.shown_serial(),
    ]


class CacheContract:
    """The clauses."""

    async def test_nothing_is_known_at_first(self, cache: Cache) -> None:
        """An empty cache answers None, nothing and 0, and says that it was not built."""
        assert await cache.project(ALPHA) is None
        assert await cache.file(ALPHA, "alpha-1.0.tar.gz") is None
        assert list(await cache.projects()) == []
        assert list(await cache.search(Query(names=("a",)))) == []
        assert list(await cache.changes(0)) == []
        assert await cache.serial() == 0
        assert await cache.shown_serial() == 0
        assert not await cache.built()

    @given(project=any_project, change=any_change)
    @every_example
    async def test_every_field_survives(
        self, cache: Cache, project: Project, change: Change
    ) -> None:
        """A project, its files and the change come back as they were given."""
        await cache.clear()
        await cache.save_project(project, change)
        for file in project.files:
            serial = await cache.save(file, change)
            assert await cache.file(ALPHA, file.filename) == file
            assert (await cache.changes(serial - 1))[-1] == replace(change, serial=serial)
        found = await cache.project(ALPHA)
        assert found is not None
        assert replace(found, files=(), serial=0) == replace(project, files=(), serial=0)
        assert {f.filename: f for f in found.files} == {f.filename: f for f in project.files}

    async def test_microseconds_yanks_and_other_scripts_survive(self, cache: Cache) -> None:
        """A yank without a reason is not the absence of a yank; times keep their microseconds."""
        kept = make_file("1.0", summary="Größe, 名前, 🐍")
        yanked = make_file("1.1", yanked="", upload_time=NOON + timedelta(microseconds=1))
        await cache.save_project(make_project(), CHANGE)
        await cache.save(kept, CHANGE)
        await cache.save(yanked, CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert {f.version: f.yanked for f in found.files} == {"1.0": None, "1.1": ""}
        assert {f.upload_time.microsecond for f in found.files} == {123456, 123457}
        assert found.published == (kept, yanked)

    @pytest.mark.parametrize("state", FileState)
    async def test_files_of_every_state_are_known(self, cache: Cache, state: FileState) -> None:
        """Project and file answer with deleted files too, and with those of a deleted project."""
        file = make_file(state=state)
        await cache.save_project(make_project(deleted=True), CHANGE)
        await cache.save(file, CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.deleted
        assert found.files == (file,)
        assert await cache.file(ALPHA, file.filename) == file
        assert await cache.file(BETA, file.filename) is None

    async def test_outline_holds_one_file_or_none(self, cache: Cache) -> None:
        """An outline has the project's facts and at most the one file that was asked for."""
        files = [make_file("1.0"), make_file("2.0")]
        await cache.save_project(make_project(), CHANGE)
        for file in files:
            await cache.save(file, CHANGE)
        whole = await cache.project(ALPHA)
        assert whole is not None
        assert await cache.outline(ALPHA) == replace(whole, files=())
        assert await cache.outline(ALPHA, files[1].filename) == replace(whole, files=(files[1],))
        assert await cache.outline(ALPHA, "alpha-3.0.tar.gz") == replace(whole, files=())
        assert await cache.outline(BETA, files[1].filename) is None

    async def test_ten_thousand_files(self, cache: Cache) -> None:
        """A project of 10,000 files is given whole."""
        files = [make_file(f"1.{n}") for n in range(10_000)]
        await cache.restore([make_project(ALPHA, *files)], CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert {f.filename for f in found.files} == {f.filename for f in files}
        assert (await cache.projects())[0].version == "1.9999"

    async def test_saving_gives_the_serial_of_its_change(self, cache: Cache) -> None:
        """What save returns is the serial of the change, of the project and of the cache."""
        first = await cache.save_project(make_project(), make_change("claim", project=ALPHA))
        change = make_change(project=ALPHA, filename="alpha-1.0.zip", version="1.0")
        second = await cache.save(make_file(), change)
        assert 0 < first < second
        assert (await cache.changes(first))[0] == replace(change, serial=second)
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.serial == second == await cache.serial() == await cache.shown_serial()

    async def test_a_change_concerns_one_project(self, cache: Cache) -> None:
        """A project's serial stays when another changes."""
        first = await cache.save_project(make_project(ALPHA), CHANGE)
        await cache.save_project(make_project(BETA), CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.serial == first

    async def test_a_file_needs_its_project(self, cache: Cache) -> None:
        """Saving a file of a project never saved raises ProjectNotFound and leaves nothing."""
        with pytest.raises(errors.ProjectNotFound):
            await cache.save(make_file(), CHANGE)
        assert await cache.file(ALPHA, make_file().filename) is None
        assert await cache.serial() == 0
        assert list(await cache.changes(0)) == []

    @pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
    async def test_the_newer_event_wins(self, cache: Cache, order: tuple[int, ...]) -> None:
        """Whatever the order of arrival, the greatest sequence is what stays."""
        for n in order:
            await cache.save_project(make_project(sequence=n, status_reason=str(n)), CHANGE)
            await cache.save(make_file(sequence=n, comment=str(n)), CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert (found.status_reason, found.files[0].comment) == ("3", "3")

    async def test_an_event_again_changes_nothing(self, cache: Cache) -> None:
        """The same or an older event gives the project's serial and records no change."""
        await cache.save_project(make_project(sequence=2), CHANGE)
        serial = await cache.save(make_file(sequence=2), CHANGE)
        await cache.save_project(make_project(BETA), CHANGE)
        before = await everything(cache)
        for sequence in (2, 1):
            assert await cache.save(make_file(sequence=sequence, comment="x"), CHANGE) == serial
            assert await cache.save_project(make_project(sequence=sequence), CHANGE) == serial
        assert await everything(cache) == before

    async def test_saving_a_project_leaves_its_files(self, cache: Cache) -> None:
        """The files given with a project are not looked at, those known are kept."""
        await cache.save_project(make_project(), CHANGE)
        await cache.save(make_file("1.0"), CHANGE)
        await cache.save_project(make_project(ALPHA, make_file("2.0"), sequence=2), CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert [f.version for f in found.files] == ["1.0"]

    async def test_recording_concerns_no_project(self, cache: Cache) -> None:
        """A change of access has a serial, and shows on no project."""
        shown = await cache.save_project(make_project(), CHANGE)
        change = make_change("user.disable", filename="Zoë")
        serial = await cache.record(change)
        assert list(await cache.changes(shown)) == [replace(change, serial=serial)]
        assert await cache.serial() == serial > shown == await cache.shown_serial()

    async def test_deleted_projects_have_a_shown_serial(self, cache: Cache) -> None:
        """The greatest serial shown may be that of a deletion."""
        await cache.save_project(make_project(), CHANGE)
        serial = await cache.save_project(make_project(sequence=2, deleted=True), CHANGE)
        assert await cache.shown_serial() == serial

    async def test_changes_come_in_order_and_in_pages(self, cache: Cache) -> None:
        """Changes ascend, begin after ``after``, and are at most ``limit``."""
        given = [await cache.record(make_change(str(n))) for n in range(10)]
        assert [c.serial for c in await cache.changes(0)] == given == sorted(given)
        assert [c.serial for c in await cache.changes(given[3])] == given[4:]
        assert [c.serial for c in await cache.changes(given[3], limit=2)] == given[4:6]
        assert list(await cache.changes(given[-1])) == []

    async def test_changes_are_a_thousand_unless_told(self, cache: Cache) -> None:
        """Without a limit a page of changes has a thousand."""
        every = [make_project(f"p{n:04}") for n in range(1_200)]
        await cache.restore(every, make_change("reindex"))
        page = await cache.changes(0)
        assert [change.serial for change in page] == list(range(1, 1_001))
        assert len(await cache.changes(1_000)) == 200
        assert len(await cache.changes(0, limit=1_150)) == 1_150

    async def test_eight_writers_lose_nothing(self, cache: Cache) -> None:
        """Of concurrent writes each has its own serial, its file and its change."""
        await cache.save_project(make_project(), CHANGE)

        async def write(writer: int) -> list[int]:
            files = [make_file(f"{writer}.{n}") for n in range(10)]
            return [await cache.save(f, replace(CHANGE, version=f.version)) for f in files]

        given = sorted(chain.from_iterable(await asyncio.gather(*map(write, range(8)))))
        found = await cache.project(ALPHA)
        assert found is not None
        assert len(set(given)) == len(found.files) == 80
        assert found.serial == given[-1] == await cache.serial()
        changes = (await cache.changes(0))[1:]
        assert [c.serial for c in changes] == given
        assert {c.version for c in changes} == {f.version for f in found.files}
        assert (await cache.projects())[0].version == "7.9"

    async def test_one_file_saved_at_once_by_eight(self, cache: Cache) -> None:
        """Of writers of one file the newest event wins, and each success has its change."""
        await cache.save_project(make_project(), CHANGE)
        events = [make_file(sequence=n, comment=str(n)) for n in (5, 3, 8, 1, 7, 2, 6, 4)]
        await asyncio.gather(*(cache.save(event, CHANGE) for event in events))
        found = await cache.project(ALPHA)
        assert found is not None
        assert found.files == (events[2],)
        assert found.serial == (await cache.changes(0))[-1].serial

    async def test_a_follower_misses_nothing(self, cache: Cache) -> None:
        """A reader that asks for the changes after the last it saw sees every one."""
        claimed = await cache.save_project(make_project(), CHANGE)

        async def write(writer: int) -> list[int]:
            return [await cache.save(make_file(f"{writer}.{n}"), CHANGE) for n in range(12)]

        following = asyncio.create_task(follow(cache, 97))
        given = sorted(chain([claimed], *await asyncio.gather(*map(write, range(8)))))
        assert await asyncio.wait_for(following, 10) == given

    async def test_a_follower_misses_nothing_of_a_reindex(self, cache: Cache) -> None:
        """Serials of many changes at once come without a gap, with those of others among them."""
        claimed = await cache.save_project(make_project(), CHANGE)
        many = [f"p{n:03}" for n in range(100)]

        async def restore(some: Sequence[str]) -> None:
            filled = [make_project(n, make_file("1.0", NormalizedName(n))) for n in some]
            assert await cache.restore(filled, make_change("reindex")) == len(some)

        async def write() -> None:
            for n in range(20):
                await cache.save(make_file(f"1.{n}"), CHANGE)

        following = asyncio.create_task(follow(cache, 121))
        await asyncio.gather(restore(many[:50]), write(), restore(many[50:]))
        seen = await asyncio.wait_for(following, 20)
        assert seen == list(range(claimed, claimed + 121))
        changed = [c.project for c in await cache.changes(0) if c.action == "reindex"]
        assert sorted(name for name in changed if name) == many

    async def test_what_a_follower_saw_can_be_read(self, cache: Cache) -> None:
        """Whoever has seen a change reads a project that is at least as new."""
        await cache.save_project(make_project(), CHANGE)

        async def write() -> None:
            for n in range(30):
                await cache.save(make_file(f"1.{n}"), CHANGE)

        writing = asyncio.create_task(write())
        serial = 0
        while not writing.done():
            serial = await cache.serial()
            found = await cache.project(ALPHA)
            assert found is not None
            assert found.serial >= serial
            assert len(found.files) == found.serial - 1
            await asyncio.sleep(0)
        await writing

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

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            (Query(), ["alpha", "beta", "gamma-ray", "gammaxray"]),
            (Query(operator="and"), ["alpha", "beta", "gamma-ray", "gammaxray"]),
            (Query(names=("",)), ["alpha", "beta", "gamma-ray", "gammaxray"]),
            (Query(names=("ALPH",)), ["alpha"]),
            (Query(names=("alp", "bet")), ["alpha", "beta"]),
            (Query(names=("a", "m"), operator="and"), ["gamma-ray", "gammaxray"]),
            (Query(names=("gamma-r",)), ["gamma-ray"]),
            (Query(names=("gamma_ray",)), []),
            (Query(names=("%",)), []),
            (Query(names=("a%a",)), []),
            (Query(names=("nothing",)), []),
            (Query(summaries=("größe",)), ["alpha"]),
            (Query(summaries=("GRÖSSE",)), ["alpha"]),
            (Query(summaries=("STRASSE",)), ["beta"]),
            (Query(summaries=("ОБРАЗ",)), ["alpha"]),
            (Query(summaries=("100%",)), ["beta"]),
            (Query(summaries=("0%_",)), ["beta"]),
            (Query(summaries=("_",)), ["beta"]),
            (Query(summaries=("\\",)), ["gamma-ray"]),
            (Query(summaries=("\\%",)), []),
            (Query(summaries=("/",)), ["gamma-ray"]),
            (Query(summaries=("'; drop",)), ["gammaxray"]),
            (Query(summaries=("after",)), ["gamma-ray"]),
            (Query(summaries=("\0",)), ["gamma-ray"]),
            (Query(summaries=("größe", "образ"), operator="and"), ["alpha"]),
            (Query(summaries=("größe", "100"), operator="and"), []),
            (Query(names=("beta",), summaries=("größe",), operator="and"), ["alpha", "beta"]),
            (Query(names=("beta", "alpha"), summaries=("drop",), operator="and"), ["gammaxray"]),
            (Query(summaries=("old summary",)), []),
            (Query(names=("x" * 70_000,)), []),
            (Query(names=("alpha", *(f"no{n}" for n in range(2_000)))), ["alpha"]),
            (Query(names=("%" * 900, "alpha")), ["alpha"]),
        ],
    )
    async def test_search(self, cache: Cache, query: Query, found: list[str]) -> None:
        """Terms are plain text without case; the operator joins terms, never names and
        summaries."""
        summaries = {
            "alpha": "Größe und Образ",
            "beta": "100%_sure of the Straße",
            "gamma-ray": "back\\slash /\0after",
            "gammaxray": "Robert'; DROP TABLE files",
        }
        await cache.restore(
            [
                make_project(name, make_file("1.0", NormalizedName(name), summary=text))
                for name, text in summaries.items()
            ],
            CHANGE,
        )
        await cache.save(make_file("0.9", summary="old summary"), CHANGE)
        assert await names(cache, query) == found
        assert await names(cache, query, limit=1) == found[:1]
        assert await names(cache, query, after="alpha") == [n for n in found if n > "alpha"]

    @given(steps=st.lists(_steps, max_size=25))
    @every_example
    async def test_any_history_comes_out_the_same(
        self, cache: Cache, steps: list[Sequence[Any]]
    ) -> None:
        """After any writes in any order every question has the plain dictionaries' answer."""
        await cache.clear()
        plain, floor = MemoryCache(), await cache.serial()
        await plain.clear(floor)
        for step in (raised(step, floor) for step in steps):
            assert await answer_of(cache, step) == await answer_of(plain, step)
        assert await everything(cache) == await everything(plain)
