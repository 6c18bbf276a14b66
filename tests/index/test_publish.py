"""Publishing: one winner, nothing left of losers, and what a repeated upload comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from app import errors
from app.index import Index, claims, pending
from app.models import File, Kind, Status, Stored
from app.storage.memory import MemoryStorage
from tests.index.places import ALICE, Make, Place


async def keys(place: Place, prefix: str = "") -> list[str]:
    """What the storage holds."""
    return [stored.key async for stored in place.storage.scan(prefix)]


class TestPublish:
    """Index.publish on healthy backends."""

    async def test_published_file_is_whole(self, place: Place, make: Make) -> None:
        """After publish the project lists the file, and its bytes and metadata are there."""
        distribution = make()
        published = await place.index.publish(distribution, ALICE)
        project = await place.index.project(distribution.project)
        assert published.new
        assert project.published == (published.file,)
        assert project.display_name == "Demo.Pkg"
        assert b"".join([c async for c in place.index.content(published.file)]) == b"bytes"
        assert await place.index.metadata(published.file) == distribution.metadata
        assert published.file.uploader == ALICE

    async def test_a_claim_that_got_no_further_is_claimed_by_the_next(
        self, place: Place, make: Make
    ) -> None:
        """Whoever brings the first file is told so, for what waits for the name is to be bound."""
        first = make()
        await claims.claim(place.index._commits, first.project, "Demo.Pkg", ALICE)
        assert (await place.index.publish(first, ALICE)).claimed
        assert not (await place.index.publish(make(version="2.0"), ALICE)).claimed

    async def test_no_marker_stays(self, place: Place, make: Make) -> None:
        """A finished upload leaves no marker."""
        await place.index.publish(make(), ALICE)
        assert await keys(place, pending.ROOT) == []

    async def test_blob_ends_in_the_filename(self, place: Place, make: Make) -> None:
        """A presigned URL of the blob would end in the filename."""
        published = await place.index.publish(make(), ALICE)
        assert published.file.blob.endswith(f"/{published.file.filename}")

    async def test_upl_3_same_bytes_again_change_nothing(self, place: Place, make: Make) -> None:
        """The same filename with the same bytes succeeds, and nothing is written."""
        first = await place.index.publish(make(), ALICE)
        before = await keys(place)
        again = await place.index.publish(make(), ALICE)
        assert not again.new
        assert again.file == first.file
        assert await keys(place) == before

    async def test_i3_overtaken_between_two_looks(self, place: Place, make: Make) -> None:
        """The same bytes succeed also where a rival publishes them while we look at the name."""
        rival = asyncio.Event()

        class Slow(MemoryStorage):
            async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
                if prefix.endswith(".whl/"):
                    await rival.wait()
                async for stored in super().scan(prefix):
                    yield stored

        storage = Slow()
        ours = asyncio.create_task(Index(storage, place.cache).publish(make(), ALICE))
        await asyncio.sleep(0.01)  # the name is looked at, and free
        other = MemoryStorage(storage._held)
        assert (await Index(other, place.cache).publish(make(), ALICE)).new
        rival.set()
        assert not (await ours).new

    async def test_upl_4_other_bytes_are_refused(self, place: Place, make: Make) -> None:
        """Other bytes under the same filename are refused, and nothing of them stays."""
        await place.index.publish(make(), ALICE)
        before = await keys(place)
        with pytest.raises(errors.FileExists, match=r"^File already exists"):
            await place.index.publish(make(content=b"other"), ALICE)
        assert await keys(place) == before

    async def test_fil_6_deleted_filename_stays_taken(self, place: Place, make: Make) -> None:
        """A deleted filename is refused, for other bytes and for the same."""
        published = await place.index.publish(make(), ALICE)
        await place.index.delete(published.file, ALICE)
        for content in (b"other", b"bytes"):
            with pytest.raises(errors.FilenameUsed):
                await place.index.publish(make(content=content), ALICE)

    async def test_upl_12_raced_uploads_have_one_winner(self, place: Place, make: Make) -> None:
        """Of racing uploads of one filename one set of bytes wins, and everyone agrees."""
        racers = [make(content=b"racer %d" % (n % 4)) for n in range(12)]
        outcomes = await asyncio.gather(
            *(place.index.publish(racer, ALICE) for racer in racers), return_exceptions=True
        )
        (winner,) = (await place.index.project(racers[0].project)).published
        for racer, outcome in zip(racers, outcomes, strict=True):
            if racer.hashes == winner.hashes:
                assert not isinstance(outcome, BaseException)
            else:
                assert isinstance(outcome, errors.FileExists)
        assert len(await keys(place, "blobs/")) == 2  # the winner's bytes and core metadata

    async def test_raced_first_uploads_share_one_claim(self, place: Place, make: Make) -> None:
        """Different first files of one project, uploaded at once, are all listed."""
        await asyncio.gather(
            *(place.index.publish(make(version=f"1.{n}"), ALICE) for n in range(8))
        )
        project = await place.index.project(make().project)
        assert len(project.published) == 8
        assert project.sequence == 1

    async def test_nam_11_one_sdist_per_release(self, place: Place, make: Make) -> None:
        """A second sdist of a release is refused; 1.0 and 1.0.0 are one release."""
        await place.index.publish(make(filename="demo_pkg-1.0.tar.gz", kind=Kind.SDIST), ALICE)
        second = make(filename="demo_pkg-1.0.0.tar.gz", version="1.0.0", kind=Kind.SDIST)
        with pytest.raises(errors.InvalidUpload, match="Only one sdist"):
            await place.index.publish(second, ALICE)

    @pytest.mark.parametrize("status", [Status.ARCHIVED, Status.QUARANTINED])
    async def test_sta_1_closed_projects_take_no_uploads(
        self, place: Place, make: Make, status: Status
    ) -> None:
        """Archived and quarantined projects refuse uploads (PEP 792)."""
        await place.index.publish(make(), ALICE)
        await place.index.set_status(make().project, status, None, ALICE)
        with pytest.raises(errors.ProjectClosed):
            await place.index.publish(make(version="2.0"), ALICE)

    async def test_sta_3_deprecated_projects_take_uploads(self, place: Place, make: Make) -> None:
        """A deprecated project goes on taking uploads (PEP 792)."""
        await place.index.publish(make(), ALICE)
        await place.index.set_status(make().project, Status.DEPRECATED, "old", ALICE)
        assert (await place.index.publish(make(version="2.0"), ALICE)).new

    async def test_deleted_project_comes_back_without_its_files(
        self, place: Place, make: Make
    ) -> None:
        """A deleted name may be claimed anew; the former files and filenames do not return."""
        first = await place.index.publish(make(), ALICE)
        await place.index.delete_project(first.file.project, ALICE)
        with pytest.raises(errors.ProjectNotFound):
            await place.index.project(first.file.project)
        await place.index.publish(make(version="2.0"), ALICE)
        project = await place.index.project(first.file.project)
        assert [file.version for file in project.published] == ["2.0"]
        assert project.generation != first.file.generation
        with pytest.raises(errors.FilenameUsed):
            await place.index.publish(make(), ALICE)

    async def test_unbuilt_index_takes_no_uploads(self, place: Place, make: Make) -> None:
        """While the cache is not built an upload is told to come back."""
        await place.lose_cache()
        with pytest.raises(errors.IndexNotReady):
            await place.index.publish(make(), ALICE)


class Breaking:
    """A storage or cache that fails at one chosen call, before or after doing it."""

    def __init__(self, whole: Any, method: str, number: int, *, after: bool) -> None:
        self._whole, self._method, self._after = whole, method, after
        self._left = number

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._whole, name)
        if name != self._method:
            return method

        async def breaking(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise errors.StorageUnavailable("broken on purpose")
            answer = await method(*arguments, **options)
            if self._left == 0:
                raise errors.StorageUnavailable("broken on purpose")
            return answer

        return breaking


class TestInterrupted:
    """What an upload leaves behind when a backend fails in its middle."""

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("number", range(1, 6))
    @pytest.mark.parametrize("method", ["create", "put", "delete"])
    async def test_retry_converges(
        self, place: Place, make: Make, method: str, number: int, after: bool
    ) -> None:
        """Whichever storage call fails, the client's retry succeeds and the file is whole."""
        broken: Any = Breaking(place.storage, method, number, after=after)
        index = Index(broken, place.cache)
        try:
            await index.publish(make(), ALICE)
        except errors.StorageUnavailable:
            listed = await self._listed(place, make)
            assert all([await place.storage.head(file.blob) for file in listed])
        published = await place.index.publish(make(), ALICE)
        await place.index.reconcile()
        assert b"".join([c async for c in place.index.content(published.file)]) == b"bytes"
        assert await self._listed(place, make) == [published.file]
        assert [f async for f in place.index.check(deep=True).run()] == []

    @pytest.mark.parametrize("method", ["save", "save_project"])
    async def test_cache_failure_is_healed_by_the_reconciler(
        self, place: Place, make: Make, method: str
    ) -> None:
        """An upload whose cache step failed is listed after the next round of reconciling."""
        broken: Any = Breaking(place.cache, method, 1, after=False)
        with pytest.raises(errors.Unavailable):
            await Index(place.storage, broken).publish(make(), ALICE)
        await place.index.publish(make(version="2.0"), ALICE)
        await place.index.reconcile()
        wanted = ["1.0", "2.0"] if method == "save" else ["2.0"]
        assert [file.version for file in await self._listed(place, make)] == wanted

    async def test_ambiguous_commit_is_healed(self, place: Place, make: Make) -> None:
        """An event whose writing was not answered, but happened, is found and listed."""
        await place.index.publish(make(version="0.1"), ALICE)
        broken: Any = Breaking(place.storage, "create", 2, after=True)
        with pytest.raises(errors.StorageUnavailable):
            await Index(broken, place.cache).publish(make(), ALICE)
        assert [file.version for file in await self._listed(place, make)] == ["0.1"]
        assert await place.index.reconcile() == 1
        assert [file.version for file in await self._listed(place, make)] == ["0.1", "1.0"]
        assert await keys(place, pending.ROOT) == []

    async def _listed(self, place: Place, make: Make) -> list[File]:
        try:
            return list((await place.index.project(make().project)).published)
        except errors.ProjectNotFound:
            return []


class TestReconcile:
    """What becomes of markers."""

    async def test_write_under_way_is_left_alone(self, place: Place) -> None:
        """A young marker without its event stays, and so does its blob."""
        blob = "blobs/demo/01ARZ3NDEKTSV4RRFFQ69G5FAV/demo-1.0.tar.gz"
        await place.storage.create(blob, b"half an upload")
        await pending.put(
            place.storage, pending.marker("demo", "demo-1.0.tar.gz", sequence=1, blob=blob)
        )
        assert await place.index.reconcile() == 0
        assert blob in await keys(place)

    async def test_dead_write_is_swept_away(self, place: Place) -> None:
        """An old marker goes, and its blob with it."""
        blob = "blobs/demo/01ARZ3NDEKTSV4RRFFQ69G5FAV/demo-1.0.tar.gz"
        await place.storage.create(blob, b"half an upload")
        marker = pending.marker("demo", "demo-1.0.tar.gz", sequence=1, blob=blob)
        marker = msgspec.structs.replace(marker, started=marker.started - pending.LIFE)
        await pending.put(place.storage, marker)
        assert await place.index.reconcile() == 1
        assert not await keys(place, "blobs/")
        assert not await keys(place, pending.ROOT)

    async def test_nothing_is_brought_into_an_unbuilt_cache(self, place: Place, make: Make) -> None:
        """While the cache is not built the reconciler waits for the reindex."""
        await place.index.publish(make(), ALICE)
        await pending.put(place.storage, pending.marker("demo-pkg", None, sequence=1))
        await place.lose_cache()
        assert await place.index.reconcile() == 0
        assert await place.cache.project(make().project) is None


class TestCollect:
    """When bytes are removed."""

    async def test_deleted_file_is_purged_after_its_grace(self, place: Place, make: Make) -> None:
        """Bytes of a deleted file go after the grace period; then nothing restores it."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.delete(file, ALICE)
        await place.index.collect()
        assert await place.storage.head(file.blob) is not None
        index = Index(place.storage, place.cache, delete_grace=timedelta(0))
        assert (await index.collect()).purged == 1
        assert await keys(place, "blobs/") == []
        with pytest.raises(errors.FilenameUsed):
            await place.index.restore(file.project, file.filename, ALICE)
        with pytest.raises(errors.FilenameUsed):
            await place.index.publish(make(), ALICE)

    async def test_orphan_of_a_dead_attempt_is_swept(self, place: Place, make: Make) -> None:
        """A blob that no event names goes once its attempt is dead; live ones stay."""
        await place.index.publish(make(), ALICE)
        orphan = "blobs/demo-pkg/01ARZ3NDEKTSV4RRFFQ69G5FAV/demo_pkg-1.0-py3-none-any.whl"
        await place.storage.create(orphan, b"left behind")
        for stray in ("blobs/notes.txt", "blobs/demo-pkg/by-hand/demo_pkg-1.0-py3-none-any.whl"):
            await place.storage.create(stray, b"not ours")
        assert (await place.index.collect()).orphans == 1
        assert len(await keys(place, "blobs/")) == 4
        assert [f async for f in place.index.check(deep=True).run()] == []

    async def test_a_broken_journal_spares_the_other_projects(
        self, place: Place, make: Make
    ) -> None:
        """What its events name cannot be told, so nothing of it goes; all else is swept."""
        await place.index.publish(make(), ALICE)
        (event,) = await keys(place, "journal/demo-pkg/@project/")
        await place.storage.delete(event)
        await place.storage.create(event, b"{not json")
        for project in ("aaa", "demo-pkg", "zzz"):
            orphan = f"blobs/{project}/01ARZ3NDEKTSV4RRFFQ69G5FAV/x-1.0-py3-none-any.whl"
            await place.storage.create(orphan, b"left behind")
        assert (await place.index.collect()).orphans == 2
        assert len(await keys(place, "blobs/demo-pkg/")) == 3
        assert await keys(place, "blobs/aaa/") == await keys(place, "blobs/zzz/") == []
