"""How much may be published: of one project, and of all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.factories import Made, make_wheel
from tests.routes.site import ADMIN, Site, site

LARGE = {"blob.bin": bytes(range(256)) * 400}
"""Of a wheel that is not packed: 100 KB."""


def wheel(name: str, version: str = "1.0") -> Made:
    """About 100 KB."""
    return make_wheel(name, version, files=LARGE, compression=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Projects may take 250 kB, some of them less or more."""
    quotas = {"project": "250 kB", "projects": {"small-*": "50 kB", "big": "10 MB"}}
    with site(tmp_path_factory.mktemp("quotas"), quotas=quotas) as running:
        yield running


def sent(place: Site, name: str, version: str = "1.0") -> httpx.Response:
    """The answer to an upload."""
    return place.upload(wheel(name, version), name, auth=ADMIN, version=version)


def test_a_project_is_full(place: Site) -> None:
    """The file that does not fit any more is refused, in words; what is there stays."""
    for version in ("1.0", "2.0"):
        sent(place, "demo", version).raise_for_status()
    answer = sent(place, "demo", "3.0")
    assert answer.status_code == 413
    assert "There is no room: project 'demo' has 20" in answer.json()["message"]
    assert "of 250 kB" in answer.json()["message"]
    assert "no room" in answer.reason_phrase
    assert place.ask("GET", "/simple/demo/", auth=ADMIN).text.count("demo-") >= 2
    while not (refused := place.trail(action="file.refuse")):
        time.sleep(0.1)  # refusals are written soon, beside the requests
    (entry,) = refused
    assert entry.target == "file:demo/demo-3.0-py3-none-any.whl"


def test_the_same_file_again_takes_nothing(place: Site) -> None:
    """It succeeds though nothing more would fit."""
    for version in ("1.0", "2.0"):
        sent(place, "again", version).raise_for_status()
    assert sent(place, "again", "2.0").status_code == 200


def test_what_is_deleted_makes_room(place: Site) -> None:
    """A yanked file does not."""
    for version in ("1.0", "2.0"):
        sent(place, "room", version).raise_for_status()
    where = "/api/v1/projects/room/releases/1.0"
    place.ask("PATCH", where, auth=ADMIN, json={"yanked": "bad"}).raise_for_status()
    assert sent(place, "room", "3.0").status_code == 413
    gone = "/api/v1/projects/room/files/room-1.0-py3-none-any.whl"
    place.ask("DELETE", gone, auth=ADMIN).raise_for_status()
    assert sent(place, "room", "3.0").status_code == 200


def test_patterns_have_limits_of_their_own(place: Site) -> None:
    """The first that fits counts, for more or for less."""
    assert sent(place, "small-thing").status_code == 413
    for version in ("1.0", "2.0", "3.0"):
        sent(place, "big", version).raise_for_status()


def test_the_index_is_full(tmp_path: Path) -> None:
    """All projects together; what is deleted makes room here, too."""
    with site(tmp_path, quotas={"total": "250 kB"}) as place:
        sent(place, "one").raise_for_status()
        sent(place, "two").raise_for_status()
        answer = sent(place, "three")
        assert answer.status_code == 413
        assert "this index has 20" in answer.json()["message"]
        place.ask("DELETE", "/api/v1/projects/one", auth=ADMIN).raise_for_status()
        assert sent(place, "three").status_code == 200


def test_without_quotas_there_is_no_limit(tmp_path: Path) -> None:
    """And nothing is added up."""
    with site(tmp_path) as place:
        for number in range(3):
            sent(place, "free", f"1.{number}").raise_for_status()
