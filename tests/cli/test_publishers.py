"""``pypicloud publisher``: what it prints, what it changes, how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app


class Line:
    """The command line of an operator, on folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "PYPICLOUD_STORAGE": f"file:{folder}/packages",
            "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{folder}/cache.db",
            "PYPICLOUD_ACCESS": f"sqlite+aiosqlite:///{folder}/access.db",
            "COLUMNS": "200",
        }

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and all that it printed."""
        result = CliRunner().invoke(app, ["publisher", *arguments], env=self.environment)
        return result.exit_code, result.output


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """A command line where nothing is yet."""
    return Line(tmp_path)


def test_publishers_are_added_listed_and_removed(line: Line) -> None:
    """A pending one for a name that is free; its tokens would end with it."""
    conditions = ("repository=octo/spam", "workflow=release.yml", "environment=release")
    code, said = line.run("add", "Spam", *conditions)
    assert code == 0, said
    assert "it waits for the project" in said
    id = said.split()[1].rstrip(":")
    code, said = line.run("list", "spam")
    assert sorted(said.split()) == sorted([id, "github", *conditions, "pending"])
    (listed,) = json.loads(line.run("list", "spam", "--json")[1])
    assert (listed["id"], listed["pending"]) == (id, True)
    assert listed["added_by"].startswith("operator:")
    assert line.run("add", "spam", *conditions)[0] == 1
    assert line.run("remove", "eggs", id)[0] == 1
    assert line.run("remove", "spam", id) == (0, f"Removed {id}.\n")
    assert line.run("list", "spam") == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("spam", "repository=octo/spam"),
        ("spam", "repository", "workflow=release.yml"),
        ("spam", "repository=octo/spam", "repository=octo/eggs"),
        ("spam", "colour=blue"),
        ("../spam", "repository=octo/spam", "workflow=release.yml"),
        ("spam", "sub=x", "--provider", "custom"),
        ("spam", "sub=x", "--provider", "nobody"),
        ("spam", "email=a@b.example", "--provider", "google", "--issuer", "https://evil.example"),
    ],
)
def test_what_cannot_be_is_refused(line: Line, arguments: tuple[str, ...]) -> None:
    """Exit code 2 and one line."""
    code, said = line.run("add", *arguments)
    assert code == 2
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
