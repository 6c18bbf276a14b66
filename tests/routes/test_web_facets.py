"""Searching by what releases say, and who needs whom: what is found, and for whom."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import make_sdist, make_wheel
from tests.routes.site import ADMIN, Site, site
from tests.routes.test_web import look, seen

DJANGO = "Framework :: Django"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Some projects that everyone may read, and one that only the admin may."""
    folder = tmp_path_factory.mktemp("facets")
    with site(folder, default_read=frozenset({"everyone"}), limits={"searches": 0}) as running:
        publish(running, "engine", ("Keywords", "motor,fast"), ("Classifier", f"{DJANGO} :: 5.2"))
        publish(running, "car", ("Requires-Dist", "Engine>=1"), ("Keywords", "Motor"))
        publish(running, "boat", ("Requires-Dist", "engine; extra == 'fast'"))
        publish(running, "hidden-truck", ("Requires-Dist", "engine"), ("Keywords", "motor"))
        running.user("friend")
        path = "/api/v1/projects/hidden-truck/grants/user:friend"
        running.ask("PUT", path, auth=ADMIN, json={"permissions": ["read"]}).raise_for_status()
        running.upload(make_sdist("boat", "0.9"), "boat", auth=ADMIN, version="0.9")
        reason = {"yanked": "it leaks"}
        running.ask(
            "PATCH", "/api/v1/projects/boat/releases/0.9", auth=ADMIN, json=reason
        ).raise_for_status()
        yield running


def publish(place: Site, name: str, *headers: tuple[str, str], version: str = "1.0") -> None:
    """A wheel whose metadata says this."""
    made = make_wheel(name, version, headers=headers)
    place.upload(made, name, auth=ADMIN, version=version).raise_for_status()


def found(place: Site, asked: str, auth: object = None) -> list[object]:
    """The names, once everything was read."""
    while (page := seen(place, f"/search?{asked}", auth))["missing"]:
        time.sleep(0.05)
    projects = page["projects"]
    assert isinstance(projects, list)
    return sorted(one["name"] for one in projects)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("keyword=motor", ["car", "engine"]),
        ("keyword=MOTOR&q=car", ["car"]),
        ("keyword=mot", []),
        (f"classifier={DJANGO}", ["engine"]),
        (f"classifier={DJANGO} :: 5.2", ["engine"]),
        (f"classifier={DJANGO} :: 5", []),
        ("yanked=yes", ["boat"]),
        ("yanked=no", ["car", "engine"]),
        ("origin=upload", ["boat", "car", "engine"]),
        ("origin=upstream", []),
    ],
)
def test_projects_are_found_by_what_they_say(place: Site, asked: str, names: list[str]) -> None:
    """By keyword in any case, by a classifier and those below it, by yanks, by origin."""
    assert found(place, asked) == names


def test_nobody_finds_what_they_may_not_read(place: Site) -> None:
    """Neither by its keyword, nor among those that need something, nor by its classifiers."""
    assert "hidden-truck" not in found(place, "keyword=motor")
    assert "hidden-truck" not in look(place, "/project/engine/").text
    assert found(place, "keyword=motor", ADMIN) == ["car", "engine", "hidden-truck"]


def test_a_page_says_who_needs_the_project(place: Site) -> None:
    """By the newest release of each, under whatever spelling and for whatever extra."""
    found(place, "keyword=motor")
    assert seen(place, "/project/engine/")["needing"] == ["boat", "car"]
    assert seen(place, "/project/engine/", ADMIN)["needing"] == ["boat", "car", "hidden-truck"]
    assert seen(place, "/project/car/")["needing"] == []


def test_what_changes_is_read_anew(place: Site) -> None:
    """A newer release needs other things; a project that is deleted needs nothing."""
    publish(place, "van", ("Requires-Dist", "engine"), ("Keywords", "cargo"))
    assert found(place, "keyword=cargo") == ["van"]
    assert "van" in str(seen(place, "/project/engine/")["needing"])
    publish(place, "van", ("Keywords", "people"), version="2.0")
    assert found(place, "keyword=cargo") == []
    assert found(place, "keyword=people") == ["van"]
    assert "van" not in str(seen(place, "/project/engine/")["needing"])
    publish(place, "van", ("Requires-Dist", "engine"), version="3.0")
    assert found(place, "yanked=no&q=van") == ["van"]
    assert "van" in str(seen(place, "/project/engine/")["needing"])
    place.ask("DELETE", "/api/v1/projects/van", auth=ADMIN).raise_for_status()
    assert found(place, "yanked=no&q=van") == []
    assert "van" not in str(seen(place, "/project/engine/")["needing"])


def test_the_page_offers_what_may_be_chosen(place: Site) -> None:
    """The form keeps what was asked, and suggests the classifiers that occur."""
    found(place, f"classifier={DJANGO}")
    text = look(place, f"/search?classifier={DJANGO}&yanked=no").text
    assert f'<option value="{DJANGO} :: 5.2">' in text
    assert f'name="classifier" value="{DJANGO}"' in text
    assert '<option value="no" selected>' in text
    page = look(place, "/project/engine/").text
    assert "/search?keyword=motor" in page
    assert "/search?classifier=Framework%20%3A%3A%20Django%20%3A%3A%205.2" in page


@pytest.mark.parametrize("asked", ["origin=elsewhere", "yanked=perhaps", f"keyword={'x' * 201}"])
def test_what_cannot_be_asked_is_refused(place: Site, asked: str) -> None:
    """400, and what was wrong with it."""
    assert place.ask("GET", f"/search?{asked}").status_code == 400


def test_metadata_that_is_lost_hides_nothing_else(tmp_path: Path) -> None:
    """The project's page is there without it, and all else is found as ever."""
    with site(tmp_path, storage=f"file:{tmp_path}/packages") as place:
        publish(place, "whole", ("Keywords", "here"))
        publish(place, "halved", ("Keywords", "gone"))
        (lost,) = (tmp_path / "packages" / "blobs" / "halved").rglob("*.metadata")
        lost.unlink()
        assert found(place, "yanked=no", ADMIN) == ["halved", "whole"]
        assert found(place, "keyword=here", ADMIN) == ["whole"]
        assert found(place, "keyword=gone", ADMIN) == []
        page = seen(place, "/project/halved/", ADMIN)
        assert len(str(page["files"])) > 2
