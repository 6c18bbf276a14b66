"""``pypicloud retention``: what the rules let go, looked at first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.retention.options import RetentionOptions
from tests.cli.running import Desk
from tests.factories import make_wheel
from tests.routes.site import ADMIN, Site, site

RULES = {"rules": [{"projects": ["aged-*"], "keep": 1}], "protect": ["aged-kept"]}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Site]:
    """Three projects with two releases each; the rules are for one of them."""
    with site(tmp_path / "index", retention=RetentionOptions.model_validate(RULES)) as running:
        for name in ("aged-out", "aged-kept", "young"):
            for version in ("1.0", "2.0"):
                made = make_wheel(name, version)
                answer = running.upload(made, name, auth=ADMIN, version=version)
                assert answer.status_code == 200, answer.text
        yield running


def test_what_goes_is_listed_first_and_deleted_then(index: Site, tmp_path: Path) -> None:
    """Without --apply nothing goes; with it what was listed, and it can be restored."""
    desk = Desk(tmp_path, {"TWINE_USERNAME": ADMIN[0], "TWINE_PASSWORD": ADMIN[1]})
    url = ("--url", index.url)
    gone = "aged_out-1.0-py3-none-any.whl"
    listed = desk.done("retention", *url).splitlines()
    assert listed[0].startswith(gone)
    assert listed[0].endswith("not among the newest 1 releases")
    assert listed[1].startswith("1 files would be deleted, ")
    assert listed[2:] == ["Nothing was deleted; delete with --apply."]
    assert gone in desk.done("project", "show", "aged-out", *url)
    done = desk.json("retention", "--apply", *url)
    assert done["applied"]
    assert [line["filename"] for line in done["files"]] == [gone]
    assert gone not in desk.done("project", "show", "aged-out", *url)
    assert desk.done("retention", "--apply", *url) == "0 files deleted, 0 bytes.\n"
    desk.done("restore", "aged-out", gone, *url)
    assert gone in desk.done("project", "show", "aged-out", *url)


def test_others_learn_nothing(index: Site, tmp_path: Path) -> None:
    """It is for admins."""
    name, password = index.user("alice")
    desk = Desk(tmp_path, {"TWINE_USERNAME": name, "TWINE_PASSWORD": password})
    assert "403" in desk.refused("retention", "--apply", "--url", index.url, code=1)
    assert len(index.ask("GET", "/api/v1/projects/aged-out", auth=ADMIN).json()["files"]) == 2
