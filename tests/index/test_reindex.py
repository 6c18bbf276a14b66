"""Reindex and check: the cache can always be made anew from the storage."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app import errors, events
from app.index import Index
from app.index.check import Finding
from app.index.commit import Commits
from app.index.journal import Journal, key
from app.index.keep import SCHEDULE
from app.models import Actor, File, Project, Status
from app.simple import render
from app.simple.negotiate import Format
from app.storage.memory import connect as connect_storage
from tests.index.places import ALICE, Make, Place


async def fill(place: Place, make: Make) -> None:
    """Some of everything that events can say."""
    index = place.index
    for name in ("Demo.Pkg", "demo-pkg-2", "größe".replace("ö", "oe").replace("ß", "ss")):
        for version in ("1.0", "1.1", "2.0rc1"):
            await index.publish(make(name, version, f"{name} {version}".encode()), ALICE)
    demo = await index.project(make("Demo.Pkg").project)
    await index.yank(demo.release("1.0"), "Sicherheitslücke ✗", ALICE)
    await index.yank(demo.release("1.1"), None, ALICE)
    await index.delete(demo.release("2.0rc1")[0], ALICE)
    await index.set_status(demo.name, Status.DEPRECATED, "altes Paket ü €", ALICE)
    await index.delete_project(make("demo-pkg-2").project, ALICE)


async def pages(place: Place) -> dict[str, Project]:
    """Every project as its page shows it."""
    index = place.index
    return {line.name: await index.project(line.name) for line in await index.projects()}


async def findings(index: Index, *, deep: bool = False) -> list[Finding]:
    """What a check reports."""
    return [finding async for finding in index.check(deep=deep).run()]


class TestReindex:
    """A lost cache comes back."""

    async def test_i4_everything_comes_back(self, place: Place, make: Make) -> None:
        """After the cache is lost a reindex gives the same projects, serials included."""
        await fill(place, make)
        await place.index.notes.flush()
        index = place.index
        for name in ("demo-pkg", "demo-pkg-2", "groesse"):
            index.notes.note(make(name).project)
        await index.notes.flush()
        before, serial = await pages(place), await place.index.shown_serial()
        await place.lose_cache()
        with pytest.raises(errors.IndexNotReady):
            await place.index.projects()
        await place.index.reindex()
        assert await pages(place) == before
        assert await place.index.shown_serial() == serial
        assert await findings(place.index, deep=True) == []
        for name, project in before.items():
            again = await place.index.project(project.name)
            for form in Format:
                assert render.project(again, form) == render.project(project, form), name

    async def test_serials_only_grow(self, place: Place, make: Make) -> None:
        """The first change after a rebuild has a serial above all that there were."""
        await fill(place, make)
        last = await place.cache.serial()
        await place.lose_cache()
        await place.index.reindex()
        await place.index.publish(make(version="9.0"), ALICE)
        assert (await place.index.project(make().project)).serial > last

    async def test_without_notes_serials_are_new(self, place: Place, make: Make) -> None:
        """A project whose serial nobody noted gets a new one, above all before."""
        await fill(place, make)
        last = await place.cache.serial()
        await place.lose_cache()
        await place.index.reindex()
        assert all(project.serial > last for project in (await pages(place)).values())

    async def test_a_second_reindex_changes_nothing(self, place: Place, make: Make) -> None:
        """On a cache that agrees a reindex repairs nothing and records no change."""
        await fill(place, make)
        serial = await place.cache.serial()
        progress = await place.index.reindex()
        assert (progress.repaired, progress.dropped, progress.broken) == (0, 0, 0)
        assert progress.files == 9
        assert await place.cache.serial() == serial

    async def test_what_was_not_told_is_repaired(self, place: Place, make: Make) -> None:
        """Events that the cache never heard of are brought into it."""
        await fill(place, make)
        other = Place(place.storage, place.cache, place.stack)
        await other.lose_cache()
        await other.index.reindex()
        await other.index.publish(make(version="3.0"), ALICE)
        progress = await place.index.reindex()
        assert progress.repaired == 1
        assert len((await place.index.project(make().project)).release("3.0")) == 1

    async def test_what_the_storage_does_not_hold_is_forgotten(
        self, place: Place, make: Make
    ) -> None:
        """A file and a project whose journal is gone leave the cache."""
        await fill(place, make)
        gone = (await place.index.publish(make("gone"), ALICE)).file
        part = (await place.index.publish(make(version="4.0"), ALICE)).file
        for prefix in (f"journal/{gone.project}/", f"journal/{part.project}/{part.filename}/"):
            for stored_key in [stored.key async for stored in place.storage.scan(prefix)]:
                await place.storage.delete(stored_key)
        progress = await place.index.reindex()
        assert progress.dropped == 2
        assert gone.project not in await pages(place)
        assert not (await place.index.project(part.project)).release("4.0")

    async def test_i8_a_project_without_its_claim_is_not_forgotten(
        self, place: Place, make: Make
    ) -> None:
        """As long as any file of it is recorded, a reindex does not make a name unknown."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.storage.delete(f"journal/{file.project}/@project/0000000001.json")
        progress = await place.index.reindex()
        assert (progress.broken, progress.dropped) == (1, 0)
        assert (await place.index.project(file.project)).published == (file,)

    async def test_broken_journal_spares_the_rest(self, place: Place, make: Make) -> None:
        """One unreadable event is counted; every other file is indexed."""
        await fill(place, make)
        file = (await place.index.publish(make(version="5.0"), ALICE)).file
        await place.index.publish(make(version="5.1"), ALICE)
        key = f"journal/{file.project}/{file.filename}/0000000001.json"
        await place.storage.delete(key)
        await place.storage.create(key, b"{not json")
        await place.lose_cache()
        progress = await place.index.reindex()
        assert progress.broken == 1
        assert len((await place.index.project(file.project)).release("5.1")) == 1

    async def test_i6_readers_see_whole_projects_meanwhile(self, place: Place, make: Make) -> None:
        """While a reindex runs beside uploads, no page loses a file and the root never shrinks."""
        await fill(place, make)
        before = await pages(place)
        reindex = place.index.reindex()
        rounds = 0
        while not reindex.done() or rounds < 3:
            seen = await pages(place)
            for name, project in before.items():
                assert set(project.published) <= set(seen[name].published)
            await place.index.publish(make(version=f"6.{rounds}"), ALICE)
            rounds += 1
            await asyncio.sleep(0)

    async def test_single_flight(self, place: Place, make: Make) -> None:
        """Asking for a reindex while one runs joins it."""
        await fill(place, make)
        index = place.index
        assert index.reindex() is index.reindex()
        await index.reindex()

    async def test_interrupted_build_goes_on(self, place: Place, make: Make) -> None:
        """A build that was cut off is finished by the next, with the serials it began with."""
        await fill(place, make)
        await place.lose_cache()
        first = place.index.reindex()
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await place.index.reindex()
        assert await findings(place.index) == []
        blocks = [stored async for stored in place.storage.scan("serials/")]
        await place.index.reindex()
        assert [stored async for stored in place.storage.scan("serials/")] == blocks


async def without(place: Place, file: File, sequence: int) -> None:
    """The storage loses an event of a file, as a backup of before it has it."""
    await place.storage.delete(key(file.project, file.filename, sequence))


class TestRestoredStorage:
    """A storage that went back in time, or is another, is the truth all the same."""

    async def test_a_cache_ahead_of_the_journal_is_repaired(self, place: Place, make: Make) -> None:
        """A yank whose event the storage lost is undone by a reindex, in one change."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.yank([file], "bad", ALICE)
        await without(place, file, 2)
        assert [found.what for found in await findings(place.index)] == [
            "is out of date in the cache"
        ]
        serial = await place.cache.serial()
        progress = await place.index.reindex()
        assert (progress.repaired, progress.dropped, progress.broken) == (1, 0, 0)
        assert await findings(place.index) == []
        assert (await place.index.project(file.project)).published == (file,)
        assert await place.cache.serial() == serial + 1
        assert (await place.index.reindex()).repaired == 0

    @pytest.mark.parametrize("lost", [1, 2, 3])
    async def test_what_is_done_after_it_shows(self, place: Place, make: Make, lost: int) -> None:
        """A deletion shows at once, however many events more than the storage the cache has."""
        file = (await place.index.publish(make(), ALICE)).file
        for number in range(lost):
            await place.index.yank([file], f"reason {number}", ALICE)
        for number in range(lost):
            await without(place, file, 2 + number)
        await place.index.delete(file, ALICE)
        with pytest.raises(errors.FileNotFound):
            await place.index.file(file.project, file.filename)
        assert await findings(place.index) == []

    async def test_an_upload_of_a_file_that_was_lost_shows(self, place: Place, make: Make) -> None:
        """A file that the storage lost, bytes and all, may be uploaded anew, and is shown."""
        lost = (await place.index.publish(make(), ALICE)).file
        await place.index.yank([lost], "bad", ALICE)
        for sequence in (1, 2):
            await without(place, lost, sequence)
        await place.storage.delete(lost.blob)
        file = (await place.index.publish(make(), ALICE)).file
        assert (await place.index.project(file.project)).published == (file,)
        assert await findings(place.index) == []

    async def test_a_status_after_it_shows(self, place: Place, make: Make) -> None:
        """A project's own facts are set anew where the cache knew later ones."""
        name = (await place.index.publish(make(), ALICE)).file.project
        for reason in ("one", "two"):
            await place.index.set_status(name, Status.DEPRECATED, reason, ALICE)
        for sequence in (2, 3):
            await place.storage.delete(key(name, None, sequence))
        await place.index.set_status(name, Status.ARCHIVED, None, ALICE)
        assert (await place.index.project(name)).status is Status.ARCHIVED
        assert await findings(place.index) == []

    async def test_an_event_that_is_there_wins(self, place: Place, make: Make) -> None:
        """Where the storage has the later event too, one that comes late changes nothing."""
        file = (await place.index.publish(make(), ALICE)).file
        first = await Journal(place.storage).records(file.project, file.filename)
        await place.index.yank([file], "bad", ALICE)
        serial = await place.cache.serial()
        commits = Commits(place.storage, place.cache, lambda name, serial: None)
        assert await commits.tell(first, events.decode(first[0])) == serial
        assert (await place.index.file(file.project, file.filename)).yanked == "bad"

    @pytest.mark.parametrize("by", [SCHEDULE, ALICE])
    async def test_another_storage(self, place: Place, make: Make, by: Actor) -> None:
        """A cache pointed at another storage shows, after any reindex, what is there."""
        await fill(place, make)
        async with connect_storage("memory:", {}) as storage:
            other = Place(storage, place.cache, place.stack)
            await other.lose_cache()
            await other.index.reindex()
            await fill(other, make)
            mine = (await other.index.publish(make(version="7.0"), ALICE)).file
            before = await pages(other)
            other.cache = place.cache
            assert await findings(other.index) != []
            await other.index.reindex(by=by)
            assert await findings(other.index, deep=True) == []
            after = await pages(other)
            assert {n: p.published for n, p in after.items()} == {
                n: p.published for n, p in before.items()
            }
            file = await other.index.file(mine.project, mine.filename)
            assert b"".join([chunk async for chunk in other.index.content(file)]) == b"bytes"

    async def test_another_event_of_the_same_number(self, place: Place, make: Make) -> None:
        """A reindex that a person asks for finds an event that another site wrote meanwhile."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.yank([file], "ours", ALICE)
        await without(place, file, 2)
        other = Place(place.storage, place.cache, place.stack)
        await other.lose_cache()
        await other.index.reindex()
        await other.index.yank([file], "theirs", ALICE)
        assert (await place.index.reindex(by=ALICE)).repaired == 1
        assert (await place.index.file(file.project, file.filename)).yanked == "theirs"
        assert await findings(place.index) == []


class TestCheck:
    """What a check finds."""

    async def test_agreement(self, place: Place, make: Make) -> None:
        """A sound index has no findings, and everything was looked at."""
        await fill(place, make)
        check = place.index.check(deep=True)
        assert [finding async for finding in check.run()] == []
        assert (check.checked.projects, check.checked.files) == (3, 9)

    async def test_missing_and_damaged_bytes(self, place: Place, make: Make) -> None:
        """Missing bytes, shortened bytes, changed bytes and changed metadata are named."""
        files = [(await place.index.publish(make(version=f"1.{n}"), ALICE)).file for n in range(5)]
        await place.storage.delete(files[0].blob)
        for file, content in ((files[1], b"byte"), (files[2], b"BYTES")):
            await place.storage.delete(file.blob)
            await place.storage.create(file.blob, content)
        await place.storage.delete(f"{files[3].blob}.metadata")
        await place.storage.delete(f"{files[4].blob}.metadata")
        await place.storage.create(f"{files[4].blob}.metadata", b"other")
        found = {f.filename: f.what for f in await findings(place.index, deep=True)}
        assert found == {
            files[0].filename: "are missing",
            files[1].filename: "are 4 long, should be 5",
            files[2].filename: "have another sha256 than recorded",
            files[3].filename: "have no core metadata beside them",
            files[4].filename: "have other core metadata than recorded",
        }
        assert len(await findings(place.index)) == 4

    async def test_cache_that_disagrees(self, place: Place, make: Make) -> None:
        """A cache that lags behind and one that invents are told apart."""
        file = (await place.index.publish(make(), ALICE)).file
        name = file.project
        invented = replace(file, filename="demo_pkg-7-py3-none-any.whl")
        change = (await place.index.history.changes(0))[0]
        await place.cache.save(invented, change)
        other = Place(place.storage, place.cache, place.stack)
        await other.lose_cache()
        await other.index.reindex()
        await other.index.yank([file], "why", ALICE)
        found = {f.filename: f.what for f in await findings(place.index)}
        assert found == {
            file.filename: "is out of date in the cache",
            invented.filename: "is in the cache, and no journal knows it",
        }
        assert all(f.project == name for f in await findings(place.index))

    async def test_t32_altered_event_is_found(self, place: Place, make: Make) -> None:
        """An event edited in the storage breaks the chain, and the check names it."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.yank([file], "why", ALICE)
        key = f"journal/{file.project}/{file.filename}/0000000001.json"
        record = b"".join([chunk async for chunk in place.storage.get(key)])
        await place.storage.delete(key)
        await place.storage.create(key, record.replace(b'"py3"', b'"py4"'))
        places = {f.place for f in await findings(place.index)}
        assert "journal" in places


class TestEvents:
    """The folding of chains, without any storage."""

    def test_empty_chains_are_broken(self) -> None:
        """A chain without its first event cannot be folded."""
        with pytest.raises(errors.JournalBroken):
            events.fold_file([])
        with pytest.raises(errors.JournalBroken):
            events.fold_project([])

    async def test_i11_gaps_are_found(self, place: Place, make: Make) -> None:
        """A chain with a missing, doubled or swapped event is refused."""
        file = (await place.index.publish(make(), ALICE)).file
        for reason in ("a", "b", "c"):
            await place.index.yank([file], reason, ALICE)
        prefix = f"journal/{file.project}/{file.filename}/"
        records = [
            b"".join([chunk async for chunk in place.storage.get(stored.key)])
            async for stored in place.storage.scan(prefix)
        ]
        assert events.fold_file(records).yanked == "c"
        one, two, three, four = records
        for chain in ([two, three], [one, three, four], [one, one], [one, three, two, four]):
            with pytest.raises(errors.JournalBroken):
                events.fold_file(chain)

    async def test_i19_time_never_runs_backwards(self, place: Place, make: Make) -> None:
        """The times of a chain never decrease."""
        file = (await place.index.publish(make(), ALICE)).file
        later = await place.index.yank([file], "a", ALICE)
        assert later[0].changed >= file.changed
