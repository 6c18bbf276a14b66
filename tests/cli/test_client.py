"""``upload``, ``download`` and ``project``: a thin client, against a running index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.running import Desk
from tests.factories import make_sdist, make_wheel
from tests.routes.site import ADMIN, Site, site

pytestmark = pytest.mark.timeout(600)  # many commands, and machines may be busy

MADE = (make_wheel("demo", "1.0"), make_sdist("demo", "1.0"), make_wheel("demo", "2.0rc1"))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An index where nobody may anything without a login."""
    with site(tmp_path_factory.mktemp("index")) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Somebody with files, and the admin's credentials."""
    for made in MADE:
        (tmp_path / made.filename).write_bytes(made.content)
    return Desk(tmp_path, {"TWINE_USERNAME": ADMIN[0], "TWINE_PASSWORD": ADMIN[1]})


def test_up_and_down(desk: Desk, index: Site) -> None:
    """Files go up and come down with the same bytes; twice is as good as once."""
    names = [made.filename for made in MADE]
    for _ in range(2):
        printed = desk.done("upload", *names, "--url", index.url)
        assert printed.splitlines() == [f"uploaded: {name}" for name in names]
    printed = desk.done("download", "Demo", "--to", "got", "--url", f"{index.url}/simple/")
    got = {path.name: path.read_bytes() for path in (desk.folder / "got").iterdir()}
    assert got == {made.filename: made.content for made in MADE[:2]}  # no pre-release unasked
    assert printed.count("downloaded: ") == 2
    (desk.folder / "got" / MADE[0].filename).write_bytes(b"half")
    again = desk.done("download", "demo==1.0", "--to", "got", "--url", index.url)
    assert sorted(line.split(":")[0] for line in again.splitlines()) == [
        "downloaded",
        "there already",
    ]
    assert (desk.folder / "got" / MADE[0].filename).read_bytes() == MADE[0].content
    assert desk.json("download", "demo==2.0rc1", "--to", "got", "--url", index.url)["state"] == (
        "downloaded"
    )


def test_what_the_index_refuses(desk: Desk, index: Site) -> None:
    """A refusal is told with the index's own words, the others go up, and the end is 1."""
    made = make_wheel("fresh", "1.0")
    (desk.folder / made.filename).write_bytes(made.content)
    broken = "broken-1.0-py3-none-any.whl"
    (desk.folder / broken).write_bytes(b"no zip")
    ran = desk.run("upload", broken, made.filename, "--url", index.url)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"refused: {broken}: 400: ")
    assert ran.stdout == f"uploaded: {made.filename}\n"


def test_projects(desk: Desk, index: Site) -> None:
    """Lists, details and statuses are those of the index."""
    index.publish("shown-here")
    url = ("--url", index.url)
    names = [line["name"] for line in desk.json("project", "list", *url)]
    assert "shown-here" in names
    assert desk.done("project", "list", "shown", *url).startswith("shown-here  1.0")
    page = desk.done("project", "show", "Shown_Here", *url)
    assert "shown_here-1.0-py3-none-any.whl" in page
    done = desk.done("project", "status", "shown-here", "archived", "--reason", "moved", *url)
    assert done == "shown-here is archived.\n"
    assert "archived (moved)" in desk.done("project", "show", "shown-here", *url)
    set_again = desk.json("project", "status", "shown-here", "active", *url)
    assert set_again["status"] == "active"


def test_who_one_is(desk: Desk, index: Site) -> None:
    """Without credentials, or with wrong ones, nothing goes; a token and ~/.netrc are enough."""
    nobody = Desk(desk.folder)
    said = nobody.refused("project", "list", "--url", index.url, code=1)
    assert said.startswith("Error: 401: ")
    wrong = desk.having(TWINE_PASSWORD="wrong and long").refused(
        "project", "list", "--url", index.url, code=1
    )
    assert "wrong and long" not in wrong
    token = index.token(permissions=["read"])["token"]
    bearer = nobody.having(TWINE_PASSWORD=token)
    assert bearer.json("project", "list", "--url", index.url)
    (desk.folder / ".netrc").write_text(
        f'machine 127.0.0.1 login {ADMIN[0]} password "{ADMIN[1]}"\n'
    )
    (desk.folder / ".netrc").chmod(0o600)
    assert nobody.json("project", "list", "--url", index.url)


@pytest.mark.parametrize(
    ("arguments", "line", "code"),
    [
        (("upload", "none.whl"), "Error: none.whl cannot be read: No such file", 2),
        (("restore-backup", "none.tar"), "Error: none.tar cannot be read: No such file", 2),
        (("migrate", "pypicloud", "none.ini"), "Error: none.ini cannot be read: No such file", 2),
        (("upload", "demo.txt", "--url", "http://127.0.0.1:1"), "Error: demo.txt", 2),
        (
            ("project", "list", "--url", "http://127.0.0.1:1"),
            "Error: 127.0.0.1:1: nothing answers there; start it with 'pypicloud serve'",
            1,
        ),
        (("project", "list", "--url", "ftp://x"), "Error: --url is written like", 2),
        (("project", "list", "--url", "https://a:b@x"), "Error: Give --username", 2),
    ],
)
def test_errors_are_one_line(desk: Desk, arguments: tuple[str, ...], line: str, code: int) -> None:
    """What cannot be is said in one line."""
    assert desk.refused(*arguments, code=code).startswith(line)


def test_json_names_each_file(desk: Desk, index: Site) -> None:
    """With ``--json`` there is an object for each file."""
    made = make_wheel("by-json", "1.0")
    (desk.folder / made.filename).write_bytes(made.content)
    printed = desk.done("upload", made.filename, "--json", "--url", index.url)
    assert json.loads(printed) == {"filename": made.filename, "state": "uploaded", "reason": None}
    assert hashlib.sha256(made.content).hexdigest() == made.sha256


def audited(index: Site, action: str) -> list[dict[str, object]]:
    """The entries of an action in the index's audit trail."""
    answer = httpx.get(
        f"{index.url}/api/v1/audit", params={"action": action}, auth=ADMIN, trust_env=False
    )
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, object]] = answer.json()["entries"]
    return entries


def test_what_is_published_is_changed_through_the_api(desk: Desk, index: Site) -> None:
    """Yanked, deleted and restored by whoever has the right, and audited under their name."""
    made = [make_wheel("changed", "1.0"), make_sdist("changed", "1.0"), make_wheel("changed", "2")]
    for one in made:
        (desk.folder / one.filename).write_bytes(one.content)
    at = ("--url", index.url)
    desk.done("upload", *(one.filename for one in made), *at)
    wheel, both = made[0].filename, {made[0].filename, made[1].filename}

    told = desk.done("yank", "Changed", "1.0.0", "--reason", "broken", *at)
    assert told.endswith(" yanked.\n")
    assert {word.strip(",") for word in told.split()} >= both
    shown = desk.json("project", "show", "changed", *at)["files"]
    assert {file["filename"] for file in shown if file["yanked"]} == both
    assert desk.done("yank", "changed", wheel, "--undo", *at) == f"{wheel} no longer yanked.\n"

    assert desk.done("delete", "changed", wheel, "--yes", *at) == f"Deleted {wheel}.\n"
    assert desk.done("restore", "changed", wheel, *at) == f"Restored {wheel}.\n"
    assert desk.done("delete", "changed", "1.0", "--yes", *at).startswith("Deleted changed-1.0")
    for _ in range(2):  # again is as good as once, and adds no entry
        assert desk.done("restore", "changed", "1", *at).startswith("Restored changed-1.0")
    shown = desk.json("project", "show", "changed", *at)["files"]
    assert {file["filename"] for file in shown} == {one.filename for one in made}
    assert "9.9" in desk.refused("restore", "changed", "9.9", *at, code=1)
    assert desk.done("delete", "changed", "--yes", *at) == "Deleted project changed.\n"
    assert desk.done("restore", "changed", *at) == "Restored project changed.\n"

    counts = {"file.yank": 1, "file.unyank": 1, "file.delete": 3, "file.restore": 2}
    for action, count in {**counts, "project.delete": 1, "project.restore": 1}.items():
        entries = [one for one in audited(index, action) if "changed" in str(one["target"])]
        assert len(entries) == count, action
        assert all(ADMIN[0] in str(one["actor"]) for one in entries)


def test_without_an_index_the_operator_does_it_and_it_is_audited(desk: Desk) -> None:
    """By the settings, while no service runs, under the name of the operating system's user."""
    made = make_wheel("direct", "1.0")
    (desk.folder / "dist").mkdir()
    (desk.folder / "dist" / made.filename).write_bytes(made.content)
    desk.run("migrate", "folder", "dist")
    desk.run("reindex")
    assert desk.done("yank", "direct", "1.0", "--reason", "broken").endswith(" yanked.\n")
    assert desk.done("delete", "direct", made.filename, "-y") == f"Deleted {made.filename}.\n"
    for what in (made.filename, "1.0"):
        assert desk.done("restore", "direct", what) == f"Restored {made.filename}.\n"
    assert "9.9" in desk.refused("restore", "direct", "9.9", code=1)
    entries = [json.loads(line) for line in desk.done("audit", "export").splitlines()]
    told = {
        one["action"]: one for one in entries if one["target"] == f"file:direct/{made.filename}"
    }
    assert {"file.yank", "file.delete", "file.restore"} <= told.keys()
    assert all("operator" in str(one["actor"]) for one in told.values())


def test_what_the_api_refuses_is_one_line(desk: Desk, index: Site) -> None:
    """Nothing there, no right, a user without an index: said, and nothing changes."""
    made = make_wheel("guarded", "1.0")
    (desk.folder / made.filename).write_bytes(made.content)
    desk.done("upload", made.filename, "--url", index.url)
    assert "404" in desk.refused("yank", "no-such-project", "1.0", "--url", index.url, code=1)
    assert "9.9" in desk.refused("yank", "guarded", "9.9", "--url", index.url, code=1)
    nobody = desk.having(TWINE_PASSWORD="a wrong pass phrase")
    assert "401" in nobody.refused("delete", "guarded", "-y", "--url", index.url, code=1)
    assert "--url" in desk.refused("yank", "guarded", "1.0", "--username", "admin")
    ran = desk.run("delete", "guarded", "--url", index.url, input="n\n")
    assert ran.returncode == 1
    assert desk.json("project", "show", "guarded", "--url", index.url)["files"]
