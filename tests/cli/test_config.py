"""``config init|check|show`` and ``doctor``: what is asked, tried and shown, and what is hidden."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from app.cli import masking
from app.config import Settings
from tests.cli.running import Desk
from tests.servers import s3

pytestmark = pytest.mark.timeout(600)  # many commands, and machines may be busy

SECRET = "do-not-show-this"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder of its own."""
    return Desk(tmp_path)


def states(desk: Desk, *, code: int = 0) -> dict[str, tuple[str, str]]:
    """What ``config check`` says of each thing."""
    return {
        one["what"]: (one["state"], one["text"]) for one in desk.json("config", "check", code=code)
    }


def test_a_new_installation(desk: Desk) -> None:
    """The dialogue asks again for what cannot be, writes settings, and makes the admin."""
    answers = ["9", "1", "1", "packages", "y", "ada", "short", "short", *["password1234"] * 2]
    answers += ["quite a long passphrase"] * 2
    ran = desk.run("config", "init", input="\n".join(answers) + "\n")
    assert ran.returncode == 0, ran.stderr
    assert "Write a number from 1 to 3." in ran.stderr
    assert "among the first that anybody tries" in ran.stderr
    assert "passphrase" not in ran.stdout
    file = desk.folder / "pypicloud.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    settings = tomllib.loads(file.read_text())
    assert settings["storage"] == "file:packages"
    assert settings["default_read"] == ["everyone"]
    assert "passphrase" not in file.read_text()
    made = desk.having(PYPICLOUD_CONFIG="pypicloud.toml")
    assert made.done("user", "list") == "ada  admin\n"
    found = states(made)
    assert found["storage"] == ("ok", "written create-only, read, listed and removed")
    assert found["access"] == ("ok", "1 users, 1 of them admins")
    assert not list((desk.folder / "packages").rglob("probes/*"))
    refused = desk.run("config", "init", input="n\n")
    assert (refused.returncode, file.read_text()) == (1, file.read_text())


def test_what_to_do_without_an_admin(desk: Desk) -> None:
    """The first start makes one where nobody is; where somebody is, a person has to."""
    cures = []
    for _ in range(2):
        found = desk.json("config", "check")
        cures.append(next(one["cure"] for one in found if one["what"] == "access"))
        password = "a fine long passphrase"
        desk.run("user", "add", "ada", "--password-stdin", input=password)
    assert "the first start makes one" in cures[0]
    assert cures[1] == "'pypicloud user admin NAME' makes one of them an admin"


def test_a_bucket_is_tried_with_a_signed_url(desk: Desk) -> None:
    """A bucket is written, listed and read by a URL that was signed; a wrong key is told."""
    bucket = desk.having(
        **s3.seaweed().environment, PYPICLOUD_STORAGE=f"s3://{s3.BUCKET}/config-check"
    )
    found = states(bucket)
    assert found["storage"][0] == "ok"
    assert found["signing"][0] == "ok"
    assert "hands out bytes" in found["signing"][1]
    wrong = states(bucket.having(PYPICLOUD_S3__SECRET_ACCESS_KEY=SECRET), code=1)
    assert wrong["storage"][0] == "wrong"
    assert SECRET not in str(wrong)


def test_what_is_wrong_is_told_with_its_cure(desk: Desk) -> None:
    """Each thing is tried though another fails, and says what to do."""
    ran = desk.having(
        PYPICLOUD_STORAGE="file:/dev/null/x",
        PYPICLOUD_CACHE="postgresql://u:" + SECRET + "@127.0.0.1:1/none",
        PYPICLOUD_FALLBACK="cache",
        PYPICLOUD_UPSTREAM="http://127.0.0.1:1/simple/",
        PYPICLOUD_HOST="0.0.0.0",
    ).run("config", "check")
    assert ran.returncode == 1
    for line in ("wrong  storage: ", "wrong  cache: ", "wrong  upstream ", "note   web: "):
        assert line in ran.stdout, ran.stdout
    assert ran.stdout.count("to do: ") >= 4
    assert SECRET not in ran.stdout + ran.stderr


HIDING = {
    "PYPICLOUD_CACHE": f"postgresql://user:{SECRET}@host/db",
    "PYPICLOUD_S3__ACCESS_KEY_ID": "AKIA",
    "PYPICLOUD_S3__SECRET_ACCESS_KEY": SECRET,
    "PYPICLOUD_SIGNUP_KEY": SECRET * 3,
    "PYPICLOUD_AUDIT__WEBHOOK": f"https://hooks.example/{SECRET}",
    "PYPICLOUD_REDIS__PASSWORD": SECRET,
}


def test_settings_are_shown_without_secrets(desk: Desk) -> None:
    """``show`` has what is no default, with --all everything; ``doctor`` fits into a report."""
    hiding = desk.having(**HIDING)
    shown = hiding.done("config", "show")
    assert "PYPICLOUD_CACHE=postgresql://user:***@host/db" in shown
    assert "PYPICLOUD_AUDIT__WEBHOOK=https://hooks.example/***" in shown
    assert "PYPICLOUD_PORT" not in shown
    every = json.loads(hiding.done("config", "show", "--all", "--json"))
    assert every["PYPICLOUD_PORT"] == 8000
    assert every["PYPICLOUD_S3__SECRET_ACCESS_KEY"] == masking.HIDDEN
    page = hiding.done("doctor")
    assert page.startswith("PyPICloud ")
    assert "PYPICLOUD_CACHE=postgresql://user:***@host/db" in page
    assert "What was tried:" in page
    facts = hiding.json("doctor")
    assert facts["settings"]["PYPICLOUD_CACHE"] == "postgresql://user:***@host/db"
    assert {one["what"] for one in facts["tried"]} >= {"storage", "cache"}
    for text in (shown, json.dumps(every), page, json.dumps(facts)):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hidden@host/0", "redis://:***@host/0"),
        ("redis://token@host/0", "redis://***@host/0"),
        ("postgresql://h/d?password=hidden&x=1", "postgresql://h/d?password=***&x=1"),
        ("file:data", "file:data"),
        ("ldaps://a,postgresql://u:hidden@h/d", "ldaps://a,postgresql://u:***@h/d"),
    ],
)
def test_secrets_in_urls(url: str, shown: str) -> None:
    """What a URL carries of secrets is hidden, wherever it stands in it."""
    assert masking.url(url) == shown


def test_every_setting_can_be_shown() -> None:
    """Whatever kind a setting is of, it has a place among those that are shown."""
    every = masking.shown(Settings())
    assert json.dumps(every)
    assert masking.changed(Settings()) == {}
