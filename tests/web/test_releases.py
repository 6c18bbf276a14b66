"""Files by release."""

from __future__ import annotations

from dataclasses import replace

from app.models import Status
from app.web import releases, views
from app.web.releases import Shelf, newest
from app.web.views import FileFilter
from tests.web.values import made_file, made_project


def test_releases_are_newest_first() -> None:
    """By version, not by time; versions that are equal are one."""
    project = made_project("1.0", "1.0.0", "10.0", "2.0", "2.0rc1")
    found = releases.releases(project)
    assert [one.version for one in found] == ["10.0", "2.0", "2.0rc1", "1.0"]
    assert [len(one.files) for one in found] == [1, 1, 1, 2]
    assert [one.prerelease for one in found] == [False, False, True, False]


def test_a_release_is_yanked_with_all_its_files() -> None:
    """One file that is not keeps it; the reason is the first that says something."""
    files = [made_file("1.0", 1, yanked=""), made_file("1.0", 2, yanked="broken")]
    project = made_project()
    (found,) = releases.releases(replace(project, files=tuple(files)))
    assert found.yanked == "broken"
    files[0] = replace(files[0], yanked=None)
    (found,) = releases.releases(replace(project, files=tuple(files)))
    assert found.yanked is None


def test_the_newest_is_what_installers_take() -> None:
    """Final rather than pre-release, yanked ones last."""
    project = made_project("1.0", "3.0rc1", "2.0")
    yanked = tuple(replace(f, yanked="x") if f.version == "2.0" else f for f in project.files)
    best = newest(releases.releases(replace(project, files=yanked)))
    assert best is not None
    assert best.version == "1.0"
    assert newest(()) is None


def test_quarantine_shows_no_release() -> None:
    """Its files cannot be had, so its page does not list them (PEP 792)."""
    assert releases.releases(replace(made_project("1.0"), status=Status.QUARANTINED)) == ()


def test_the_shelf_knows_the_newest_state() -> None:
    """What changed is put together anew, what did not is not."""
    shelf, project = Shelf(), made_project("1.0")
    assert shelf.releases(project) is shelf.releases(project)
    changed = replace(made_project("1.0", "2.0"), serial=project.serial + 1)
    assert len(shelf.releases(changed)) == 2


def test_files_are_filtered_by_their_tags() -> None:
    """Compressed tags count one by one."""
    files = [
        made_file("1.0", 1, tag="cp312-cp312-manylinux_2_28_x86_64"),
        made_file("1.0", 2, tag="cp312.cp313-abi3-win_amd64"),
        made_file("1.0", 3, tag="py3-none-any"),
    ]
    found, filter = views.filtered(files, FileFilter(python="cp313"))
    assert [file.filename for file in found] == [files[1].filename]
    assert filter.pythons == ("cp312", "cp313", "py3")
    assert filter.platforms == ("any", "manylinux_2_28_x86_64", "win_amd64")
    assert len(views.filtered(files, FileFilter())[0]) == 3
