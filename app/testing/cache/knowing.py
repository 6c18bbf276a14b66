"""What a cache knows of projects and files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app import errors
from app.cache.base import Cache, Query
from app.models import FileState
from app.testing.cache.nouns import (
    ALPHA,
    BETA,
    CHANGE,
    NOON,
    make_file,
    make_project,
)


class Knowing:
    """Facts come back as they were given."""

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

    async def test_saving_a_project_leaves_its_files(self, cache: Cache) -> None:
        """The files given with a project are not looked at, those known are kept."""
        await cache.save_project(make_project(), CHANGE)
        await cache.save(make_file("1.0"), CHANGE)
        await cache.save_project(make_project(ALPHA, make_file("2.0"), sequence=2), CHANGE)
        found = await cache.project(ALPHA)
        assert found is not None
        assert [f.version for f in found.files] == ["1.0"]

    async def test_what_is_missing_is_certain_only_in_a_complete_cache(self, cache: Cache) -> None:
        """Until it is built, and once it is cleared, a missing project or file is not absent."""
        file = make_file()
        for _ in range(2):
            await cache.save_project(make_project(), CHANGE)
            await cache.save(file, CHANGE)
            for asked in ((BETA, None), (BETA, file.filename), (ALPHA, "alpha-3.0.tar.gz")):
                with pytest.raises(errors.IndexNotReady):
                    await cache.certain(*asked)
            assert await cache.certain(ALPHA, file.filename) == await cache.project(ALPHA)
            await cache.set_built()
            assert await cache.certain(BETA) is None
            assert await cache.certain(BETA, file.filename) is None
            outline = await cache.outline(ALPHA)
            assert await cache.certain(ALPHA, "alpha-3.0.tar.gz") == outline
            assert await cache.certain(ALPHA) == outline
            assert await cache.certain(ALPHA, file.filename) == await cache.project(ALPHA)
            await cache.clear()
            with pytest.raises(errors.IndexNotReady):
                await cache.certain(ALPHA)
