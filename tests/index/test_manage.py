"""Yank, delete, restore and status: events that survive, and doing it twice adds none."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app import errors
from app.index import Index
from app.index.manage import to_restore
from app.models import Status
from tests.index.places import ALICE, Make, Place


async def events_of(place: Place, prefix: str) -> int:
    """How many events lie below a prefix."""
    return len([stored async for stored in place.storage.scan(f"journal/{prefix}")])


class TestYank:
    """PEP 592."""

    async def test_ynk_1_yanked_files_stay(self, place: Place, make: Make) -> None:
        """A yanked file is listed with its reason and goes on being handed out."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.yank([file], "größer\n als  erlaubt", ALICE)
        (listed,) = (await place.index.project(file.project)).published
        assert listed.yanked == "größer als erlaubt"
        assert await place.index.file(file.project, file.filename) == listed

    async def test_ynk_2_unyank_and_yank_again(self, place: Place, make: Make) -> None:
        """A yank can be taken back and made again, with a new serial each time."""
        file = (await place.index.publish(make(), ALICE)).file
        serials = []
        for yanked in (True, False, True):
            if yanked:
                await place.index.yank([file], None, ALICE)
            else:
                await place.index.unyank([file], ALICE)
            project = await place.index.project(file.project)
            assert project.published[0].yanked == ("" if yanked else None)
            serials.append(project.serial)
        assert serials == sorted(set(serials))

    async def test_yanking_twice_adds_no_event(self, place: Place, make: Make) -> None:
        """What is yanked for this reason already stays as it is."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.yank([file], "why", ALICE)
        before = await events_of(place, "")
        await place.index.yank([file], "why", ALICE)
        assert await events_of(place, "") == before

    async def test_concurrent_yanks_chain(self, place: Place, make: Make) -> None:
        """Eight yanks at once become a gapless chain, and the cache has its end."""
        file = (await place.index.publish(make(), ALICE)).file
        await asyncio.gather(*(place.index.yank([file], f"{n}", ALICE) for n in range(8)))
        assert await events_of(place, f"{file.project}/{file.filename}/") == 9
        assert [f async for f in place.index.check().run()] == []

    async def test_reason_is_bounded(self, place: Place, make: Make) -> None:
        """A reason that is too long or holds control characters is refused."""
        file = (await place.index.publish(make(), ALICE)).file
        for reason in ("x" * 1001, "a\x00b", "a\x1bb"):
            with pytest.raises(errors.Invalid):
                await place.index.yank([file], reason, ALICE)


class TestDelete:
    """Deleting and restoring."""

    async def test_deleted_file_is_gone_and_restored(self, place: Place, make: Make) -> None:
        """A deleted file disappears at once, and restoring brings the same file back."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.delete(file, ALICE)
        with pytest.raises(errors.FileNotFound):
            await place.index.file(file.project, file.filename)
        assert (await place.index.project(file.project)).published == ()
        await place.index.restore(file.project, file.filename, ALICE)
        restored = await place.index.file(file.project, file.filename)
        assert (restored.hashes, restored.upload_time) == (file.hashes, file.upload_time)

    async def test_deleting_what_is_gone(self, place: Place, make: Make) -> None:
        """Deleting again, and yanking what is deleted, say what is the matter."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.delete(file, ALICE)
        before = await events_of(place, "")
        await place.index.delete(file, ALICE)
        with pytest.raises(errors.FileNotFound):
            await place.index.yank([file], None, ALICE)
        assert await events_of(place, "") == before

    async def test_deleted_project_is_restored_whole(self, place: Place, make: Make) -> None:
        """One event hides a project with all its files; one brings all of it back."""
        for version in ("1.0", "1.1"):
            await place.index.publish(make(version=version), ALICE)
        name = make().project
        before = await place.index.project(name)
        events = await events_of(place, "")
        await place.index.delete_project(name, ALICE)
        assert await events_of(place, "") == events + 1
        assert await place.index.projects() == []
        await place.index.restore_project(name, ALICE)
        after = await place.index.project(name)
        assert after.published == before.published
        assert after.generation == before.generation

    async def test_a_deleted_release_is_restored_whole(self, place: Place, make: Make) -> None:
        """Its deleted files, however its version is written; again adds nothing."""
        files = [(await place.index.publish(make(version=one), ALICE)).file for one in ("1.0", "2")]
        name, index = files[0].project, place.index
        for file in files:
            await index.delete(file, ALICE)
        for version in ("1.0", "1"):
            found = to_restore(await index.present(name), version)
            assert [file.filename for file in found] == [files[0].filename]
            await index.restore(name, found[0].filename, ALICE)
        assert [file.version for file in (await index.project(name)).published] == ["1.0"]

    async def test_what_of_a_release_cannot_be_restored(self, place: Place, make: Make) -> None:
        """One whose bytes are purged, one of a former generation, one that never was."""
        former = (await place.index.publish(make(version="3"), ALICE)).file
        name, index = former.project, place.index
        await index.delete(former, ALICE)
        await index.delete_project(name, ALICE)
        file = (await index.publish(make(version="4"), ALICE)).file
        await index.delete(file, ALICE)
        await Index(place.storage, place.cache, delete_grace=timedelta(0)).collect()
        project = await index.present(name)
        with pytest.raises(errors.FilenameUsed):
            to_restore(project, "4")
        for version in ("3", "5"):
            with pytest.raises(errors.ReleaseNotFound):
                to_restore(project, version)

    async def test_files_of_a_former_generation_stay_away(self, place: Place, make: Make) -> None:
        """What a deleted project held cannot be restored into the one that has its name now."""
        former = (await place.index.publish(make(), ALICE)).file
        await place.index.delete_project(former.project, ALICE)
        await place.index.publish(make(version="2.0"), ALICE)
        with pytest.raises(errors.FileNotFound):
            await place.index.restore(former.project, former.filename, ALICE)

    async def test_unknown_names(self, place: Place, make: Make) -> None:
        """What does not exist can be neither deleted nor restored nor given a status."""
        name = make().project
        with pytest.raises(errors.ProjectNotFound):
            await place.index.delete_project(name, ALICE)
        with pytest.raises(errors.ProjectNotFound):
            await place.index.restore_project(name, ALICE)
        with pytest.raises(errors.ProjectNotFound):
            await place.index.set_status(name, Status.ARCHIVED, None, ALICE)
        with pytest.raises(errors.FileNotFound):
            await place.index.restore(name, "demo-1.0.tar.gz", ALICE)


class TestStatus:
    """PEP 792."""

    async def test_status_and_reason_are_kept(self, place: Place, make: Make) -> None:
        """A status shows with its reason until it is changed."""
        name = (await place.index.publish(make(), ALICE)).file.project
        await place.index.set_status(name, Status.ARCHIVED, "umgezogen → neu", ALICE)
        project = await place.index.project(name)
        assert (project.status, project.status_reason) == (Status.ARCHIVED, "umgezogen → neu")
        await place.index.set_status(name, Status.ACTIVE, None, ALICE)
        assert (await place.index.project(name)).status_reason is None

    async def test_sta_2_quarantined_files_are_refused(self, place: Place, make: Make) -> None:
        """The files of a quarantined project cannot be had, not even by their own names."""
        file = (await place.index.publish(make(), ALICE)).file
        await place.index.set_status(file.project, Status.QUARANTINED, None, ALICE)
        with pytest.raises(errors.Quarantined):
            await place.index.file(file.project, file.filename)
