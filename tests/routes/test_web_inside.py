"""Looking into archives, and comparing two releases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.web import entry_points
from tests.factories import make_sdist, make_wheel
from tests.routes.site import ADMIN, Site, site

HTML = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}
BINARY = bytes(range(256)) * 8


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files lie while they are looked into."""
    return tmp_path_factory.mktemp("inside")


@pytest.fixture(scope="module")
def place(spool: Path) -> Iterator[Site]:
    """Two releases that differ, and a project that is hidden."""
    with site(spool, default_read=frozenset({"everyone"})) as running:
        for version, more in (("1.0", {"gone.py": b"1\n"}), ("2.0", {"new.py": b"new = 1\n" * 50})):
            files = {"pack/__init__.py": f"v = {version!r}\n".encode() * int(version[0]), **more}
            files["pack/blob.bin"] = BINARY
            files["pack/<b>.txt"] = "日本語 <script>alert(1)</script>\n".encode()
            headers = [("Requires-Dist", f"dep>={version}")]
            wheel = make_wheel("pack", version, files=files, headers=headers)
            running.upload(wheel, "pack", auth=ADMIN, version=version).raise_for_status()
            sdist = make_sdist("pack", version, headers=headers)
            running.upload(sdist, "pack", auth=ADMIN, version=version).raise_for_status()
        running.publish("hidden")
        grant = {"permissions": ["read"]}
        path = "/api/v1/projects/hidden/grants/user:admin"
        running.ask("PUT", path, auth=ADMIN, json=grant).raise_for_status()
        yield running


def seen(place: Site, path: str) -> dict[str, Any]:
    """A page, as JSON."""
    answer = place.ask("GET", path, headers=JSON)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


WHEEL = "/project/pack/inside/pack-1.0-py3-none-any.whl"
SDIST = "/project/pack/inside/pack-1.0.tar.gz"


def test_a_wheel_is_listed(place: Site, spool: Path) -> None:
    """With sizes; and nothing of it stays behind."""
    members = {one["name"]: one["size"] for one in seen(place, WHEEL)["members"]}
    assert members["pack/blob.bin"] == len(BINARY)
    assert "pack-1.0.dist-info/METADATA" in members
    text = place.ask("GET", WHEEL, headers=HTML).text
    assert "pack/&lt;b&gt;.txt" in text
    assert list((spool / "spool").iterdir()) == []


def test_an_sdist_is_listed(place: Site) -> None:
    """The same."""
    names = {one["name"] for one in seen(place, SDIST)["members"]}
    assert names == {"pack-1.0/PKG-INFO", "pack-1.0/pyproject.toml", "pack-1.0/pack.py"}


@pytest.mark.parametrize(
    ("path", "member", "text"),
    [
        (WHEEL, "pack/__init__.py", "v = '1.0'\n"),
        (WHEEL, "pack/<b>.txt", "日本語 <script>alert(1)</script>\n"),
        (SDIST, "pack-1.0/pack.py", '"""Made for tests."""\n\n__version__ = "1.0"\n'),
        (WHEEL, "pack/blob.bin", None),
    ],
)
def test_a_text_is_shown(place: Site, path: str, member: str, text: str | None) -> None:
    """As text, whatever is in it; what is none is not shown."""
    query = httpx.QueryParams({"member": member})
    content = seen(place, f"{path}?{query}")["content"]
    assert content == {"text": text, "cut": False}
    page = place.ask("GET", f"{path}?{query}", headers=HTML).text
    assert "<script>alert" not in page


@pytest.mark.parametrize("member", ["none.py", "../../etc/passwd", "/etc/passwd", "pack", "x\0"])
def test_there_is_only_what_is_there(place: Site, member: str) -> None:
    """Any other name is none."""
    for path in (WHEEL, SDIST):
        answer = place.ask("GET", path, headers=JSON, params={"member": member})
        assert answer.status_code in (400, 404)


def test_two_releases_are_compared(place: Site) -> None:
    """What metadata says, and files: gone, new, of another size; the version's name aside."""
    found = seen(place, "/project/pack/compare?before=1.0&after=2.0")
    comparison = found["comparison"]
    (facts,) = comparison["facts"]
    assert (facts["removed"], facts["added"]) == (["dep>=1.0"], ["dep>=2.0"])
    assert [one["name"] for one in comparison["removed"]] == ["gone.py"]
    assert [one["name"] for one in comparison["added"]] == ["new.py"]
    assert "pack/__init__.py" in [one["name"] for one in comparison["resized"]]
    assert place.ask("GET", "/project/pack/compare?before=1.0&after=2.0").status_code == 200
    same = seen(place, "/project/pack/compare?before=1.0&after=1.0")["comparison"]
    assert [same[part] for part in ("facts", "removed", "added", "resized")] == [[], [], [], []]


def test_a_comparison_of_very_many_files_shows_the_first(place: Site) -> None:
    """Of each kind so many as a page can bear; it says that there are more."""
    for version, name in (("1.0", "old"), ("2.0", "new")):
        files = {f"{name}/{number}.py": b"" for number in range(1500)}
        wheel = make_wheel("many", version, files=files)
        place.upload(wheel, "many", auth=ADMIN, version=version).raise_for_status()
    path = "/project/many/compare?before=1.0&after=2.0"
    comparison = seen(place, path)["comparison"]
    assert comparison["cut"] is True
    assert 500 < len(comparison["removed"]) < 1500
    assert len(comparison["added"]) == len(comparison["removed"])
    assert "Only the first are shown." in place.ask("GET", path, headers=HTML).text
    assert seen(place, "/project/pack/compare?before=1.0&after=2.0")["comparison"]["cut"] is False


@pytest.mark.parametrize("query", ["before=9&after=1.0", "before=1.0&after=x", "before=1.0"])
def test_what_cannot_be_compared(place: Site, query: str) -> None:
    """Releases that are not there, or not named."""
    answer = place.ask("GET", f"/project/pack/compare?{query}", headers=JSON)
    assert answer.status_code in (400, 404)


def test_only_readers_look_inside(place: Site) -> None:
    """Neither a list nor a text of what one may not read."""
    for path in (
        "/project/hidden/inside/hidden-1.0-py3-none-any.whl",
        "/project/hidden/compare?before=1.0&after=1.0",
        "/project/pack/inside/hidden-1.0-py3-none-any.whl",
    ):
        assert place.ask("GET", path, headers=JSON).status_code in (401, 404)
    own = "/project/hidden/inside/hidden-1.0-py3-none-any.whl"
    assert place.ask("GET", own, auth=ADMIN, headers=JSON).status_code == 200


POINTS = b"""\
# what it brings
[console_scripts]
Pack = pack.cli:main
pack-tool = pack:tool [extra]

[pack.plugins]
one = pack.one:Plugin
"""


@pytest.mark.parametrize(
    ("version", "declared", "groups"),
    [
        (
            "3.0",
            POINTS,
            {
                "console_scripts": {"Pack": "pack.cli:main", "pack-tool": "pack:tool [extra]"},
                "pack.plugins": {"one": "pack.one:Plugin"},
            },
        ),
        ("3.1", None, {}),
    ],
    ids=["some", "none"],
)
def test_a_release_says_what_it_declares(
    place: Site, version: str, declared: bytes | None, groups: object
) -> None:
    """The entry points of its wheel, by group; names keep their case."""
    more = {} if declared is None else {"entry_points.txt": declared}
    made = make_wheel("pack", version, dist_info=more)
    place.upload(made, "pack", auth=ADMIN, version=version).raise_for_status()
    view = seen(place, f"/project/pack/{version}/entry-points")
    assert (view["groups"], view["readable"]) == (groups, True)
    text = place.ask("GET", f"/project/pack/{version}/entry-points", headers=HTML).text
    assert ("pack.cli:main" in text) == bool(groups)
    page = place.ask("GET", f"/project/pack/{version}/", headers=HTML).text
    assert f"/project/pack/{version}/entry-points" in page


@pytest.mark.parametrize("text", ["no group = at all\n", "[a]\nx\n", "[", "[a]\n  = \n"])
def test_what_cannot_be_read_is_no_entry_point(text: str) -> None:
    """What came in another way than by an upload may be anything."""
    assert entry_points.parsed(text) is None


def test_only_wheels_declare_entry_points(place: Site) -> None:
    """A release without one, or that is not there, is not found; nor is a hidden project's."""
    place.upload(make_sdist("pack", "4.0"), "pack", auth=ADMIN, version="4.0").raise_for_status()
    for path in ("pack/4.0", "pack/5.0", "hidden/1.0"):
        answer = place.ask("GET", f"/project/{path}/entry-points", headers=JSON)
        assert answer.status_code in (401, 404), path


def test_a_machine_without_room_is_busy(place: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started the client is asked to come again, and nothing breaks."""
    made = make_wheel("pack", "6.0")
    place.upload(made, "pack", auth=ADMIN, version="6.0").raise_for_status()
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    path = f"/project/pack/inside/{made.filename}"
    answer = place.ask("GET", path, headers=JSON)
    assert answer.status_code == 503, answer.text
    assert "try again" in answer.json()["message"]
    monkeypatch.undo()
    assert seen(place, path)["members"]
