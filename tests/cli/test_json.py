"""What every act tells programs with ``--json``: what was done, by the names of the API."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from packaging.utils import NormalizedName
from passlib import hash as others
from pydantic import BaseModel

from app.cli.asking import is_file_of
from app.cli.main import app
from app.routes.access_schemas import Invited, UserLine
from app.routes.publishers import PublisherLine
from app.routes.schemas import FileDetail
from app.routes.token_schemas import MadeToken, TokenLine
from tests.cli.reference import commands
from tests.cli.running import Desk
from tests.factories import make_sdist, make_wheel
from tests.routes.site import ADMIN, Site, site

PASSWORD = "a fine long passphrase\n"
CI = ("repository=octo/spam", "workflow=release.yml", "environment=release")
OLD = others.sha512_crypt.using(rounds=1000).hash("the old way")
PENDING = {"pending_users": [{"username": "cid", "password": OLD}]}
WHEEL, SDIST = make_wheel("demo", "1.0"), make_sdist("demo", "1.0")
RELEASE = [WHEEL.filename, SDIST.filename]
USER: dict[str, Any] = {"admin": False, "disabled": False, "pending": False, "groups": []}

WITHOUT = {"access export", "audit export", "config init", "hash-password", "serve"}
"""Commands that write something else than what they did, or never end."""


@dataclass(frozen=True)
class Case:
    """An act: what comes before it, what it is asked by, and some of what it says."""

    asked: str
    before: Sequence[str]
    files: Sequence[str]
    given: str
    said: Mapping[str, Any]


def case(asked: str, *before: str, files: Sequence[str] = (), given: str = "", **said: Any) -> Case:
    """One."""
    return Case(asked, before, files, given, said)


CASES = [
    case("user add Ann --password-stdin", given=PASSWORD, action="user.create", name="ann", **USER),
    case(
        "user passwd ada --password-stdin",
        given="another fine long passphrase\n",
        action="user.password.change",
        name="ada",
    ),
    case("user disable ada", action="user.disable", name="ada", **{**USER, "disabled": True}),
    case("user enable ada", "user disable ada", action="user.enable", name="ada", disabled=False),
    case("user admin ada", action="user.admin.grant", name="ada", admin=True),
    case("user admin ada --revoke", action="user.admin.revoke", name="ada", admin=False),
    case("user approve cid", "access import pending.json", action="user.approve", pending=False),
    case("user invite zoe --days 2", action="user.invite", name="zoe"),
    case("user delete ada", action="user.delete", name="ada"),
    case("group add Web", action="group.create", name="web"),
    case("group join web ada", "group add web", action="group.member.add", member="ada"),
    case("group leave web ada", "group add web", action="group.member.remove", name="web"),
    case("group delete web", "group add web", action="group.delete", name="web"),
    case(
        "grant set Demo user:Ada upload read",
        action="grant.set",
        project="demo",
        principal="user:ada",
        permissions=["read", "upload"],
    ),
    case(
        "grant delete demo everyone",
        "grant set demo everyone read",
        action="grant.delete",
        project="demo",
        permissions=[],
    ),
    case("token create ada --name ci", action="token.create", owner="ada", permissions=["read"]),
    case("token revoke --owner ada", "token create ada", action="token.revoke"),
    case(f"publisher add spam {' '.join(CI)}", action="publisher.add", project="spam"),
    case("access registration", open=False),
    case("access registration open", action="config.change", open=True),
    case("access import pending.json", action="config.import", dry_run=False),
    case("access import pending.json --dry-run", dry_run=True),
    case("audit verify", entries=2, flaw=None),
    case("yank demo 1.0 --reason broken", action="file.yank", project="demo", files=RELEASE),
    case("yank demo 1.0 --undo", action="file.unyank", files=RELEASE),
    case(f"delete demo {WHEEL.filename} -y", action="file.delete", files=[WHEEL.filename]),
    case("delete demo 1.0 -y", action="file.delete", files=RELEASE),
    case("delete demo -y", action="project.delete", files=RELEASE),
    case(
        f"restore demo {SDIST.filename}",
        "delete demo 1.0 -y",
        action="file.restore",
        files=[SDIST.filename],
    ),
    case("restore demo 1", "delete demo 1.0 -y", action="file.restore", files=RELEASE),
    case("restore demo", "delete demo -y", action="project.restore", files=RELEASE),
]
SHAPES: dict[str, type[BaseModel]] = {
    "user.create": UserLine,
    "user.password.change": UserLine,
    "user.disable": UserLine,
    "user.approve": UserLine,
    "user.invite": Invited,
    "token.create": MadeToken,
    "publisher.add": PublisherLine,
    "publisher.remove": PublisherLine,
}
"""What the API answers to the same, where it does."""
STATES = {"yank": "published", "delete": "deleted", "restore": "published"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files of a release, a user and somebody who waits, to be copied."""
    desk = Desk(tmp_path_factory.mktemp("full"))
    (desk.folder / "dist").mkdir()
    for made in (WHEEL, SDIST):
        (desk.folder / "dist" / made.filename).write_bytes(made.content)
    (desk.folder / "pending.json").write_text(json.dumps(PENDING))
    desk.done("migrate", "folder", "dist", "--json")
    ran = desk.run("user", "add", "ada", "--password-stdin", input=PASSWORD)
    assert ran.returncode == 0, ran.stderr
    return desk.folder


@pytest.fixture
def desk(full: Path, tmp_path: Path) -> Desk:
    """Somebody with that folder."""
    shutil.copytree(full, tmp_path / "desk")
    return Desk(tmp_path / "desk", {"PYPICLOUD_SIGNUP_KEY": "k" * 32})


def told(desk: Desk, asked: str, *more: str, given: str = "") -> dict[str, Any]:
    """What an act says with ``--json``: one object, and nothing beside it."""
    ran = desk.run(*asked.split(), *more, "--json", input=given)
    assert (ran.returncode, ran.stderr) == (0, ""), (ran.stdout, ran.stderr)
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def is_as_the_api_says(said: Mapping[str, Any], shape: type[BaseModel]) -> None:
    """Whether an object has the names of an answer of the API, and fits it."""
    facts = {name: value for name, value in said.items() if name != "action"}
    assert facts.keys() == shape.model_fields.keys()
    shape.model_validate(facts)


@pytest.mark.parametrize("asked", CASES, ids=lambda one: one.asked)
def test_every_act_says_in_json_what_it_did(asked: Case, desk: Desk) -> None:
    """The act by its name in the audit trail, and what it was done to."""
    for line in asked.before:
        desk.done(*line.split())
    said = told(desk, asked.asked, given=asked.given)
    assert {name: said[name] for name in asked.said} == asked.said
    assert ("action" in said) == ("action" in asked.said)
    if "action" in said:
        assert said["action"] in {one["action"] for one in desk.json("audit", "list")}
    if shape := SHAPES.get(said.get("action", "")):
        is_as_the_api_says(said, shape)
    for token in said.get("tokens", ()):
        is_as_the_api_says(token, TokenLine)
    if asked.files:
        assert {file["filename"] for file in said["files"]} == set(asked.files)
        for file in said["files"]:
            is_as_the_api_says(file, FileDetail)
            assert file["state"] == STATES[asked.asked.split()[0]]


def test_a_publisher_that_is_removed_is_told(desk: Desk) -> None:
    """Its id is known only once it is there; what it was is said."""
    added = told(desk, "publisher add spam", *CI)
    removed = told(desk, "publisher remove spam", added["id"])
    assert removed == {**added, "action": "publisher.remove"}
    is_as_the_api_says(removed, PublisherLine)


def test_a_trail_that_is_not_whole_is_told(desk: Desk) -> None:
    """In JSON as well, and the exit code is 1."""
    known = f"1:{'0' * 64}"
    ran = desk.run("audit", "verify", "--known", known, "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["flaw"] == "entry 1 is not that one"
    assert ran.stderr == "Error: The trail is not whole: entry 1 is not that one.\n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Site]:
    """A running index with the same release."""
    with site(tmp_path / "index") as running:
        for made in (WHEEL, SDIST):
            running.upload(made, "demo", auth=ADMIN).raise_for_status()
        yield running


@pytest.mark.parametrize("what", [WHEEL.filename, "1.0", None])
def test_a_running_index_is_told_of_alike(index: Site, desk: Desk, what: str | None) -> None:
    """Acts through the API say what they say without it."""
    admin = desk.having(TWINE_USERNAME=ADMIN[0], TWINE_PASSWORD=ADMIN[1])
    acts = [f"delete demo {what or ''} -y", f"restore demo {what or ''}"]
    if what is not None:
        acts = [f"yank demo {what} --reason broken", f"yank demo {what} --undo", *acts]
    names = ("filename", "version", "sha256", "yanked", "yanked_reason", "state")
    for asked in acts:
        direct, by_url = told(desk, asked), told(admin, asked, "--url", index.url)
        assert direct.keys() == by_url.keys()
        assert direct["action"] == by_url["action"]
        files = [
            sorted([one[name] for name in names] for one in said["files"])
            for said in (direct, by_url)
        ]
        assert files[0] == files[1]
        for file in by_url["files"]:
            is_as_the_api_says(file, FileDetail)


@pytest.mark.parametrize(
    ("project", "what", "file"),
    [
        ("my-thing", "my_thing-1.0-py3-none-any.whl", True),
        ("my-thing", "My__Thing-1.0.tar.gz", True),
        ("my-thing", "1.0", False),
        ("my-thing", "1.0-dev-r1", False),
        ("1", "1-1", False),
        ("1", "1-1.tar.gz", True),
        ("1", "1.0+a.zip", False),
    ],
)
def test_filenames_and_versions_are_told_apart(project: str, what: str, file: bool) -> None:
    """Also of what is deleted, and so in no list: a filename begins with the project's name."""
    assert is_file_of(NormalizedName(project), what) is file


def test_no_command_is_without_json() -> None:
    """Except those that say nothing of what they did."""
    every = {
        " ".join(path): {name for one in command.params for name in one.opts}
        for path, command in commands(typer.main.get_command(app), ())
    }
    assert {name for name, options in every.items() if "--json" not in options} == WITHOUT
