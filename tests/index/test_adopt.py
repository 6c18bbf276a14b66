"""Adoption: what PyPICloud left becomes ours where it lies, once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.memory import connect as connect_cache
from app.index import Index, blobs, legacy, pending
from app.index.adopt import Adoption
from app.index.adopting_take import UNKNOWN
from app.models import Actor, File, FileState, Kind, Status
from app.storage.file import connect as connect_folder
from app.storage.memory import MemoryStorage
from app.upload.inspection import Inspectors, inspectors
from tests.factories import Made, make_wheel, metadata
from tests.index.adopting import OPERATOR, adopt, agrees, listing, put
from tests.index.places import ALICE, Make, Place
from tests.pypicloud import TIME, Layout, Old, old_sdist, sdist, wheel, write_file

DEMO = NormalizedName("demo")
DEMO_WHEEL = wheel("demo", requires_python=">=3.8", summary="größer als")


@pytest.fixture
async def pool() -> AsyncIterator[Inspectors]:
    """Whatever looks into archives."""
    async with inspectors(count=1) as pool:
        yield pool


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Place]:
    """An index on a folder, its cache not built yet."""
    async with AsyncExitStack() as stack:
        where = f"file:{tmp_path}/packages"
        storage = await stack.enter_async_context(connect_folder(where, {}))
        cache = await stack.enter_async_context(connect_cache("memory:", {}))
        yield Place(storage, cache, stack)


async def only(place: Place, name: str = "demo") -> File:
    """The one file of a project."""
    (file,) = (await place.index.project(NormalizedName(name))).published
    return file


async def content(place: Place, file: File) -> bytes:
    """The bytes that clients get."""
    return b"".join([chunk async for chunk in place.index.content(file)])


class TestBuckets:
    """Objects with metadata, in every layout."""

    @pytest.mark.parametrize("layout", ["hashed", "plain", "oldest"])
    async def test_facts_of_an_object(self, place: Place, pool: Inspectors, layout: Layout) -> None:
        """The old key is the blob; facts come from bytes and metadata, the time from the store."""
        key = await put(place.storage, DEMO_WHEEL.key(layout), DEMO_WHEEL)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert (outcome.state, outcome.project, outcome.version) == ("adopted", "demo", "1.0")
        file = await only(place)
        made = DEMO_WHEEL.made
        stored = await place.storage.head(key)
        assert stored is not None
        assert (file.blob, file.size, file.upload_time) == (key, stored.size, stored.modified)
        assert file.hashes.sha256 == made.sha256
        assert file.hashes.md5 == hashlib.md5(made.content).hexdigest()
        assert file.hashes.blake2b_256 == hashlib.blake2b(made.content, digest_size=32).hexdigest()
        assert (file.kind, file.python_version, file.source) == (Kind.WHEEL, "py3", "adopted")
        assert (file.requires_python, file.summary) == (">=3.8", "größer als")
        assert file.uploader == Actor(kind="user", id="alice")
        assert file.yanked is None
        assert file.offers_metadata
        core = metadata("demo", "1.0", summary="größer als", requires_python=">=3.8")
        assert await place.index.metadata(file) == core
        assert await content(place, file) == made.content
        assert await agrees(place.index)

    async def test_twice_is_once(self, place: Place, pool: Inspectors) -> None:
        """A second run finds every file known, and writes nothing at all."""
        for old in (DEMO_WHEEL, sdist("demo"), wheel("Other.Thing"), old_sdist("old", "0.1")):
            await put(place.storage, old.key(), old)
        first = await adopt(place.index, pool)
        before, serial = await listing(place), await place.index.shown_serial()
        projects = await place.index.projects()
        second = await adopt(place.index, pool)
        assert {outcome.state for outcome in first.values()} == {"adopted"}
        assert {outcome.state for outcome in second.values()} == {"known"}
        assert first.keys() == second.keys()
        assert await listing(place) == before
        assert (await place.index.shown_serial(), await place.index.projects()) == (
            serial,
            projects,
        )

    async def test_nothing_old_is_touched(self, place: Place, pool: Inspectors) -> None:
        """Every object that was there is there as it was; ours are in folders of our own."""
        for old in (DEMO_WHEEL, sdist("demo"), wheel("other")):
            await put(place.storage, old.key(), old)
        await put(place.storage, "notes.txt", DEMO_WHEEL)
        before = await listing(place)
        await adopt(place.index, pool)
        after = await listing(place)
        assert {key: after[key] for key in before} == before
        ours = {key.partition("/")[0] for key in after.keys() - before.keys()}
        assert ours <= {"adopted", "journal", "leases", "serials", "snapshots"}

    async def test_a_trial_writes_nothing(self, place: Place, pool: Inspectors) -> None:
        """It foretells what an adoption then does, and leaves no trace in storage or cache."""
        for old in (DEMO_WHEEL, sdist("demo"), old_sdist("Old", "1.0-dev-r1")):
            await put(place.storage, old.key(), old)
        await put(place.storage, "a/demo/notes.txt", DEMO_WHEEL)
        before, serial = await listing(place), await place.cache.serial()
        trial = {outcome.key: outcome async for outcome in Adoption(place.storage).run()}
        assert await listing(place) == before
        assert (await place.cache.serial(), await place.index.projects()) == (serial, [])
        done = await adopt(place.index, pool)
        assert {key: done[key].state for key in done} == {
            key: "adopted" if outcome.state == "adoptable" else outcome.state
            for key, outcome in trial.items()
        }
        assert [outcome.state for outcome in trial.values()].count("left") == 1
        again = [outcome async for outcome in Adoption(place.storage).run()]
        assert {outcome.state for outcome in again} == {"known", "left"}

    async def test_a_prefix_limits_it(self, place: Place, pool: Inspectors) -> None:
        """Only keys that begin so are looked at."""
        for part in ("one", "two"):
            old = wheel(part)
            await put(place.storage, f"{part}/{old.key()}", old)
        assert list(await adopt(place.index, pool, "tw")) == [f"two/{wheel('two').key()}"]

    async def test_many_files_of_many_projects(self, place: Place, pool: Inspectors) -> None:
        """More files than are looked at together, several of each project: all are listed."""
        olds = [wheel(f"p{n % 7}", f"1.{n}") for n in range(60)]
        for old in olds:
            await put(place.storage, old.key(), old)
        outcomes = await adopt(place.index, pool)
        assert list(outcomes) == sorted(outcomes)
        assert len(await place.index.projects()) == 7
        assert await listing(place, pending.ROOT) == {}
        assert await agrees(place.index)


class TestFacts:
    """What was recorded, and what it is worth."""

    @pytest.mark.parametrize("spelling", ["-", "_"])
    async def test_both_spellings(self, place: Place, pool: Inspectors, spelling: str) -> None:
        """Fields with hyphens and with underscores are the same ones."""
        fields = DEMO_WHEEL.metadata("-" if spelling == "-" else "_")
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL, fields)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert outcome.state == "adopted"

    async def test_underscores_win_and_empty_is_absent(
        self, place: Place, pool: Inspectors
    ) -> None:
        """Scripts that added hashes wrote underscores; an empty field says nothing."""
        fields = {
            "hash-sha256": "0" * 64,
            "hash_sha256": DEMO_WHEEL.made.sha256,
            "name": "",
            "uploader": "",
            "hash_md5": "",
        }
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL, fields)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert outcome.state == "adopted"
        assert (await only(place)).uploader == UNKNOWN

    async def test_an_object_without_metadata(self, place: Place, pool: Inspectors) -> None:
        """Name and version come from the filename, the rest from the bytes."""
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL, {})
        await adopt(place.index, pool)
        file = await only(place)
        assert (file.version, file.requires_python, file.uploader) == ("1.0", ">=3.8", UNKNOWN)

    @pytest.mark.parametrize("name", ["hash_sha256", "hash_md5"])
    async def test_a_hash_that_disagrees(self, place: Place, pool: Inspectors, name: str) -> None:
        """Bytes that are not those recorded are never listed; nothing is written for them."""
        wrong = replace(DEMO_WHEEL, more={name: "0" * (64 if "sha" in name else 32)})
        await put(place.storage, wrong.key(), wrong)
        before = await listing(place)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert outcome.state == "left"
        assert outcome.reason is not None
        assert DEMO_WHEEL.made.sha256 in outcome.reason or "md5" in outcome.reason
        assert await listing(place) == before
        assert await place.index.projects() == []

    async def test_an_archive_that_cannot_be_read(self, place: Place, pool: Inspectors) -> None:
        """It was served, so it is: with what was recorded, without core metadata, and a note."""
        broken = Old(
            made=Made("demo-1.0.tar.gz", b"not an archive"),
            name="demo",
            version="1.0",
            requires_python=">=3.6",
            summary="Recorded",
        )
        await put(place.storage, broken.key(), broken)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert outcome.state == "adopted"
        (note,) = outcome.notes
        assert "without core metadata" in note
        file = await only(place)
        assert (file.requires_python, file.summary) == (">=3.6", "Recorded")
        assert file.metadata_sha256 is None
        assert await listing(place, blobs.ADOPTED) == {}
        assert await agrees(place.index)

    async def test_core_metadata_of_another_release(self, place: Place, pool: Inspectors) -> None:
        """It is not kept beside this file, and that is said."""
        made = make_wheel("demo", "1.0", core=metadata("demo", "9.9"))
        await put(place.storage, "demo/demo", replace(DEMO_WHEEL, made=made))
        old = Old(made=made, name="demo", version="1.0")
        await put(place.storage, old.key(), old)
        outcome = (await adopt(place.index, pool))[old.key()]
        assert "'demo' '9.9'" in outcome.notes[0]
        assert not (await only(place)).offers_metadata

    async def test_an_old_sdist(self, place: Place, pool: Inspectors) -> None:
        """Metadata of version 1.0 is kept, and not offered: a build may change it."""
        old = old_sdist("Old_Thing", "1.0")
        await put(place.storage, old.key(), old)
        (outcome,) = (await adopt(place.index, pool)).values()
        project = await place.index.project(NormalizedName("old-thing"))
        (file,) = project.published
        assert project.display_name == "Old_Thing"
        assert "capital letters" in outcome.notes[0]
        assert b"Metadata-Version: 1.0" in await place.index.metadata(file)
        assert not file.offers_metadata

    async def test_a_version_before_pep_440(self, place: Place, pool: Inspectors) -> None:
        """It is listed as it was spelled, its metadata kept for people to read."""
        old = old_sdist("old", "1.0-dev-r123")
        await put(place.storage, old.key(), old)
        (outcome,) = (await adopt(place.index, pool)).values()
        file = await only(place, "old")
        assert (outcome.state, file.version) == ("adopted", "1.0-dev-r123")
        assert any("PEP 440" in note for note in outcome.notes)
        assert file.summary == "Of old"
        assert not file.offers_metadata
        assert await agrees(place.index)


class TestFolders:
    """Files with .meta files beside them."""

    async def test_facts_of_a_file(self, folder: Place, pool: Inspectors, tmp_path: Path) -> None:
        """The .meta file tells who uploaded it, the file's own time when."""
        key = write_file(tmp_path / "packages", replace(DEMO_WHEEL, uploader="bob"))
        outcomes = await adopt(folder.index, pool)
        assert {key: outcome.state for key, outcome in outcomes.items()} == {key: "adopted"}
        file = await only(folder)
        assert (file.blob, file.upload_time) == (key, TIME)
        assert file.uploader == Actor(kind="user", id="bob")
        assert await content(folder, file) == DEMO_WHEEL.made.content
        assert await agrees(folder.index)
        before = await listing(folder)
        assert {o.state for o in (await adopt(folder.index, pool)).values()} == {"known"}
        assert await listing(folder) == before

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[]",
            '{"uploader": 5}',
            None,
            "\xff",
            pytest.param('{"a":' + "[" * 400_000, id="deep"),
        ],
    )
    async def test_a_meta_file_that_says_nothing(
        self, folder: Place, pool: Inspectors, tmp_path: Path, text: str | None
    ) -> None:
        """Missing and invalid ones are fine; then nobody knows who uploaded it."""
        root = tmp_path / "packages"
        key = write_file(root, DEMO_WHEEL, sidecar=False)
        if text is not None:
            (root / f"{key}.meta").write_bytes(text.encode("latin-1"))
        outcomes = await adopt(folder.index, pool)
        assert {key: outcome.state for key, outcome in outcomes.items()} == {key: "adopted"}
        assert (await only(folder)).uploader == UNKNOWN

    async def test_a_hash_in_a_meta_file_that_disagrees(
        self, folder: Place, pool: Inspectors, tmp_path: Path
    ) -> None:
        """It counts as much as one in object metadata."""
        key = write_file(tmp_path / "packages", replace(DEMO_WHEEL, more={"hash_sha256": "f" * 64}))
        outcomes = await adopt(folder.index, pool)
        assert outcomes[key].state == "left"

    async def test_leftovers_are_listed(
        self, folder: Place, pool: Inspectors, tmp_path: Path
    ) -> None:
        """Temporary files and .meta files without a file are named, and stay."""
        root = tmp_path / "packages"
        key = write_file(root, DEMO_WHEEL)
        where = (root / key).parent
        left = {
            f".{DEMO_WHEEL.made.filename}.0a1b2c3d",
            ".metadata.0a1b2c3d",
            "demo-0.9.tar.gz.meta",
            ".meta",
        }
        for name in left:
            (where / name).write_bytes(b"{}")
        outcomes = await adopt(folder.index, pool)
        found = {key.rpartition("/")[2] for key, one in outcomes.items() if one.state == "left"}
        assert found == left
        assert all((where / name).read_bytes() == b"{}" for name in left)
        assert await agrees(folder.index)

    async def test_deleting_removes_the_meta_file_too(
        self, folder: Place, pool: Inspectors, tmp_path: Path
    ) -> None:
        """After its grace nothing of a deleted file is left but its journal."""
        root = tmp_path / "packages"
        key = write_file(root, DEMO_WHEEL)
        await adopt(folder.index, pool)
        await folder.index.delete(await only(folder), ALICE)
        index = Index(folder.storage, folder.cache, delete_grace=timedelta(0))
        assert (await index.collect()).purged == 1
        assert not (root / key).parent.exists()
        assert {key.partition("/")[0] for key in await listing(folder)} <= {
            "journal",
            "leases",
            "serials",
            "snapshots",
        }


class TestTwins:
    """One filename under several keys."""

    async def test_the_same_bytes(self, place: Place, pool: Inspectors) -> None:
        """One of them is adopted, the other noted as its copy, in every run."""
        for layout in ("hashed", "plain"):
            await put(place.storage, DEMO_WHEEL.key(layout), DEMO_WHEEL)
        first = await adopt(place.index, pool)
        second = await adopt(place.index, pool)
        newest = DEMO_WHEEL.key("plain")
        assert [first[newest].state, second[newest].state] == ["adopted", "known"]
        for outcomes in (first, second):
            copy = outcomes[DEMO_WHEEL.key("hashed")]
            assert (copy.state, copy.reason) == ("copy", f"the same bytes as {newest}")
        assert await agrees(place.index)

    async def test_other_bytes(self, place: Place, pool: Inspectors) -> None:
        """The newest wins; the others are listed with the reason, in a trial too."""
        olds = [wheel("demo", files={"demo.py": b"# %d" % n}) for n in range(3)]
        keys = ["b/demo", "c/demo", "a/demo"]
        keys = [f"{folder}/{olds[0].made.filename}" for folder in keys]
        for key, old in zip(keys, olds, strict=True):
            await put(place.storage, key, old)
        trial = {outcome.key: outcome async for outcome in Adoption(place.storage).run()}
        assert [trial[key].state for key in keys] == ["left", "left", "adoptable"]
        outcomes = await adopt(place.index, pool)
        assert [outcomes[key].state for key in keys] == ["left", "left", "adopted"]
        assert outcomes[keys[0]].reason == f"its filename is taken by other bytes: {keys[2]}"
        again = await adopt(place.index, pool)
        assert [again[key].state for key in keys] == ["left", "left", "known"]
        assert await content(place, await only(place)) == olds[2].made.content

    async def test_a_damaged_newest_one(self, place: Place, pool: Inspectors) -> None:
        """Older bytes are not slipped in under a name whose newest bytes are damaged."""
        await put(place.storage, DEMO_WHEEL.key("hashed"), DEMO_WHEEL)
        damaged = replace(DEMO_WHEEL, more={"hash_sha256": "0" * 64})
        await put(place.storage, DEMO_WHEEL.key("plain"), damaged)
        outcomes = await adopt(place.index, pool)
        assert {outcome.state for outcome in outcomes.values()} == {"left"}
        assert DEMO_WHEEL.key("plain") in str(outcomes[DEMO_WHEEL.key("hashed")].reason)

    async def test_a_newer_twin_comes_later(self, place: Place, pool: Inspectors) -> None:
        """What was adopted stays what it is."""
        await put(place.storage, DEMO_WHEEL.key("hashed"), DEMO_WHEEL)
        await adopt(place.index, pool)
        await put(place.storage, DEMO_WHEEL.key("plain"), wheel("demo", files={}))
        outcomes = await adopt(place.index, pool)
        assert outcomes[DEMO_WHEEL.key("hashed")].state == "known"
        assert outcomes[DEMO_WHEEL.key("plain")].state == "left"


class TestBesideUs:
    """What is ours already, and what goes on meanwhile."""

    async def test_an_uploaded_filename(self, place: Place, pool: Inspectors, make: Make) -> None:
        """Other bytes under an uploaded name are left; the same are a copy; nothing changes."""
        made = DEMO_WHEEL.made
        await place.index.publish(make("demo", content=b"uploaded"), ALICE)
        await place.index.publish(make("same", content=made.content), ALICE)
        same = replace(wheel("same"), made=Made("same-1.0-py3-none-any.whl", made.content))
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        await put(place.storage, same.key(), same)
        before = await listing(place)
        outcomes = await adopt(place.index, pool)
        assert outcomes[DEMO_WHEEL.key()].state == "left"
        assert outcomes[same.key()].state == "copy"
        assert await listing(place) == before

    async def test_it_joins_a_project(self, place: Place, pool: Inspectors, make: Make) -> None:
        """Old files of a project that was claimed here stand beside the new ones."""
        await place.index.publish(make("demo", "2.0"), ALICE)
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        await adopt(place.index, pool)
        project = await place.index.project(DEMO)
        assert [file.version for file in project.published] == ["1.0", "2.0"]
        assert project.sequence == 1
        await place.index.publish(make("demo", "3.0"), ALICE)
        assert await agrees(place.index)

    async def test_raced_by_uploads(self, place: Place, pool: Inspectors, make: Make) -> None:
        """Of an upload and an adoption of one filename one wins, and both know which."""
        olds = [wheel("demo", f"1.{n}") for n in range(8)]
        for old in olds:
            await put(place.storage, old.key(), old)
        uploads = [make("demo", old.version) for old in olds]
        results = await asyncio.gather(
            adopt(place.index, pool),
            *(place.index.publish(upload, ALICE) for upload in uploads),
            return_exceptions=True,
        )
        outcomes, *published = results
        assert isinstance(outcomes, dict)
        files = {file.version: file for file in (await place.index.project(DEMO)).published}
        for old, upload in zip(olds, published, strict=True):
            adopted = outcomes[old.key()].state == "adopted"
            assert adopted == (files[old.version].blob == old.key())
            assert adopted == isinstance(upload, errors.FileExists)
        assert await listing(place, pending.ROOT) == {}
        assert await agrees(place.index)

    async def test_two_at_once(self, place: Place, pool: Inspectors) -> None:
        """Two adoptions beside one another adopt everything once."""
        for n in range(12):
            old = wheel("demo", f"1.{n}")
            await put(place.storage, old.key(), old)
        one, other = await asyncio.gather(adopt(place.index, pool), adopt(place.index, pool))
        for key in one:
            assert sorted([one[key].state, other[key].state]) == ["adopted", "known"]
        assert (await place.index.project(DEMO)).sequence == 1
        assert await agrees(place.index)

    async def test_deleted_here(self, place: Place, pool: Inspectors) -> None:
        """A deleted file does not come back; its bytes go after the grace, strays never do."""
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        await put(place.storage, DEMO_WHEEL.key("plain"), DEMO_WHEEL)
        await put(place.storage, "notes.txt", DEMO_WHEEL)
        await adopt(place.index, pool)
        file = await only(place)
        await place.index.delete(file, ALICE)
        outcomes = await adopt(place.index, pool)
        assert outcomes[file.blob].state == "known"
        assert outcomes[DEMO_WHEEL.key()].state == "left"
        restored = await place.index.restore(DEMO, file.filename, ALICE)
        assert await content(place, restored) == DEMO_WHEEL.made.content
        await place.index.delete(file, ALICE)
        index = Index(place.storage, place.cache, delete_grace=timedelta(0))
        assert (await index.collect()).purged == 1
        assert await place.storage.head(file.blob) is None
        assert await listing(place, blobs.ADOPTED) == {}
        assert await place.storage.head("notes.txt") is not None
        assert await place.storage.head(DEMO_WHEEL.key()) is not None
        assert await agrees(place.index)
        gone = await place.cache.file(DEMO, file.filename)
        assert gone is not None
        assert gone.state is FileState.PURGED

    async def test_a_closed_project(self, place: Place, pool: Inspectors, make: Make) -> None:
        """An archived project takes no old files either."""
        await place.index.publish(make("demo", "2.0"), ALICE)
        await place.index.set_status(DEMO, Status.ARCHIVED, None, ALICE)
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert (outcome.state, outcome.reason) == (
            "left",
            "Project 'demo' is archived: it takes no uploads.",
        )

    async def test_a_deleted_project(self, place: Place, pool: Inspectors) -> None:
        """What an admin deleted here stays deleted, however often adoption is run."""
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        await adopt(place.index, pool)
        await place.index.delete_project(DEMO, ALICE)
        before = await listing(place)
        (outcome,) = (await adopt(place.index, pool)).values()
        assert outcome.state == "known"
        assert await listing(place) == before
        assert await place.index.projects() == []

    @pytest.mark.parametrize(
        "name",
        ["blobs", "journal", "pending", "serials", "snapshots", "leases", "probes", "adopted"],
    )
    async def test_projects_called_like_our_folders(
        self, place: Place, pool: Inspectors, make: Make, name: str
    ) -> None:
        """Such old files are adopted, and none of our own work stumbles over them."""
        plain, folder = wheel(name), sdist(name)
        await put(place.storage, plain.key("plain"), plain)
        await put(place.storage, f"{name}/1.0/{folder.made.filename}", folder, {})
        outcomes = await adopt(place.index, pool)
        assert [outcome.state for outcome in outcomes.values()] == ["adopted", "adopted"]
        await place.lose_cache()
        index = Index(place.storage, place.cache, delete_grace=timedelta(0))
        await index.reindex()
        assert len((await index.project(NormalizedName(name))).published) == 2
        assert await index.reconcile() == 0
        assert (await index.collect()).orphans == 0
        await index.publish(make(name, "2.0"), ALICE)
        assert await agrees(index)


class TestEndings:
    """Whatever ends it, the next run completes it."""

    async def test_a_cache_that_was_never_built(self, place: Place, pool: Inspectors) -> None:
        """The cache is built first, so that readers never see half an index."""
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        await place.lose_cache()
        assert not await place.index.ready()
        await adopt(place.index, pool)
        assert await place.index.ready()
        assert (await only(place)).blob == DEMO_WHEEL.key()

    async def test_no_reindex_is_needed(self, place: Place, pool: Inspectors) -> None:
        """The cache says after an adoption what it says after it was lost and built anew."""
        for old in (DEMO_WHEEL, sdist("demo", "2.0"), wheel("other"), old_sdist("old", "1-x-1")):
            await put(place.storage, old.key(), old)
        await adopt(place.index, pool)
        progress = await place.index.reindex()
        assert (progress.repaired, progress.dropped, progress.broken) == (0, 0, 0)
        names = [line.name for line in await place.index.projects()]
        before = [(await place.index.project(name)).published for name in names]
        await place.lose_cache()
        await place.index.reindex()
        assert [(await place.index.project(name)).published for name in names] == before

    async def test_broken_off(self, place: Place, pool: Inspectors, tmp_path: Path) -> None:
        """Broken off anywhere it leaves no file in the spool, and another run finishes."""
        for n in range(30):
            old = wheel("demo", f"1.{n}")
            await put(place.storage, old.key(), old)
        adoption = await place.index.adopt(pool, spool=tmp_path, operator=OPERATOR)
        async with aclosing(adoption.run()) as outcomes:
            async for _ in outcomes:
                break
        assert list(tmp_path.iterdir()) == []
        done = await adopt(place.index, pool)
        assert {outcome.state for outcome in done.values()} == {"adopted", "known"}
        assert await agrees(place.index)

    async def test_the_cache_was_not_told(self, place: Place, pool: Inspectors) -> None:
        """Events that a killed run did not bring into the cache are brought there by the next."""
        await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
        await adopt(place.index, pool)
        await place.lose_cache()
        await place.cache.set_built()
        (outcome,) = (await adopt(place.index, pool)).values()
        assert outcome.state == "known"
        assert (await only(place)).blob == DEMO_WHEEL.key()
        assert await agrees(place.index)


class Archived(errors.StorageUnavailable):
    """What a storage answers of an object in its archive."""

    archived = True


class Icy(MemoryStorage):
    """A storage that lists objects whose bytes it does not hand out."""

    refusal: type[errors.StorageUnavailable] = Archived

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        if key.startswith("icy/"):
            raise self.refusal("The object is in the archive")
        async for chunk in super().get(key, start=start, end=end):
            yield chunk


async def test_bytes_that_the_store_keeps_for_itself(place: Place, pool: Inspectors) -> None:
    """One archived object does not end the run."""
    place.storage = Icy()
    await put(place.storage, f"icy/{DEMO_WHEEL.key()}", DEMO_WHEEL)
    other = wheel("other")
    await put(place.storage, other.key(), other)
    outcomes = await adopt(place.index, pool)
    icy = outcomes[f"icy/{DEMO_WHEEL.key()}"]
    assert (icy.state, outcomes[other.key()].state) == ("left", "adopted")
    assert icy.reason == "its bytes cannot be read: The object is in the archive"


async def test_an_outage_ends_the_run(place: Place, pool: Inspectors) -> None:
    """A storage that does not answer makes no healthy file unfit, and nothing is adopted."""
    place.storage = Icy()
    place.storage.refusal = errors.StorageUnavailable
    for demo in (DEMO_WHEEL, wheel("other")):
        await put(place.storage, f"icy/{demo.key()}", demo)
    with pytest.raises(errors.StorageUnavailable):
        await adopt(place.index, pool)
    assert await place.index.projects() == []


async def test_a_spool_without_room_ends_the_run(place: Place, pool: Inspectors) -> None:
    """That is no fault of the files: nothing is listed as left alone for it."""
    await put(place.storage, DEMO_WHEEL.key(), DEMO_WHEEL)
    adoption = await place.index.adopt(pool, spool=Path("/dev/null/x"), operator=OPERATOR)
    with pytest.raises(errors.StorageUnavailable, match="no room"):
        _ = [outcome async for outcome in adoption.run()]
    assert await place.index.projects() == []


class TestTheWayBack:
    """``legacy_metadata``: what PyPICloud would read of a file uploaded here."""

    async def test_object_metadata(self, place: Place, make: Make) -> None:
        """The blob carries the fields that PyPICloud wrote, in its plain ASCII."""
        index = Index(place.storage, place.cache, legacy_metadata=True)
        distribution = make("Demo.Pkg", requires_python=">=3.8")
        published = await index.publish(distribution, ALICE)
        stored = await place.storage.head(published.file.blob)
        assert stored is not None
        assert stored.metadata == {
            "name": "demo-pkg",
            "version": "1.0",
            "requires_python": ">=3.8",
            "summary": "Zusammenfassung, groer",
            "hash_sha256": distribution.hashes.sha256,
            "hash_md5": distribution.hashes.md5,
            "uploader": "alice",
        }
        core = await place.storage.head(blobs.metadata_key(published.file.blob))
        assert core is not None
        assert core.metadata == {}

    async def test_only_when_it_is_asked_for(self, place: Place, make: Make) -> None:
        """By default the storage is given nothing beside the bytes."""
        published = await place.index.publish(make(), ALICE)
        stored = await place.storage.head(published.file.blob)
        assert stored is not None
        assert stored.metadata == {}

    async def test_it_fits(self, place: Place, make: Make) -> None:
        """Stores take two thousand bytes; what is too long is left out, what counts is not."""
        index = Index(place.storage, place.cache, legacy_metadata=True)
        distribution = make(summary="s" * 512, requires_python=",".join([">=3.1"] * 240))
        published = await index.publish(distribution, ALICE)
        stored = await place.storage.head(published.file.blob)
        assert stored is not None
        assert sum(len(name) + len(value) for name, value in stored.metadata.items()) < 2000
        assert stored.metadata["hash_sha256"] == distribution.hashes.sha256

    async def test_a_later_adoption_reads_it(self, place: Place, make: Make) -> None:
        """The fields written are those read."""
        index = Index(place.storage, place.cache, legacy_metadata=True)
        published = await index.publish(make(), ALICE)
        stored = await place.storage.head(published.file.blob)
        assert stored is not None
        facts = legacy.facts(stored.metadata)
        assert (facts.name, facts.version, facts.uploader) == ("demo-pkg", "1.0", "alice")
        assert facts == legacy.sidecar(json.dumps(dict(stored.metadata)).encode())

    async def test_a_folder_for_pypicloud(
        self, folder: Place, pool: Inspectors, make: Make, tmp_path: Path
    ) -> None:
        """The manual's script makes one of ours: what is published, two folders deep."""
        write_file(tmp_path / "packages", DEMO_WHEEL)
        await adopt(folder.index, pool)
        index = folder.index
        new = (await index.publish(make("Demo", "2.0", b"new"), ALICE)).file
        deleted = (await index.publish(make("Demo", "3.0"), ALICE)).file
        await index.delete(deleted, ALICE)
        gone = (await index.publish(make("gone"), ALICE)).file
        await index.delete_project(gone.project, ALICE)
        await index.yank([new], "", ALICE)
        target = tmp_path / "theirs"
        await asyncio.to_thread(run_manual, tmp_path / "packages", target)
        made = {path.relative_to(target).as_posix() for path in target.rglob("*.*")} - {
            "demo/1.0",
            "demo/2.0",
        }
        names = {f"demo/1.0/{DEMO_WHEEL.made.filename}", f"demo/2.0/{new.filename}"}
        assert made == names | {f"{name}.meta" for name in names}
        facts = json.loads((target / f"demo/2.0/{new.filename}.meta").read_text())
        assert facts == {
            "hash_sha256": new.hashes.sha256,
            "hash_md5": new.hashes.md5,
            "summary": new.summary,
            "uploader": ALICE.id,
        }
        assert (target / f"demo/2.0/{new.filename}").read_bytes() == b"new"


def run_manual(ours: Path, theirs: Path) -> None:
    """Run the script of the manual."""
    manual = (Path(__file__).parents[2] / "docs" / "adopting.md").read_text()
    script = manual.partition("```python\n")[2].partition("```")[0]
    subprocess.run([sys.executable, "-c", script, ours, theirs], check=True, timeout=30)
