"""The manual of the command line is that of the commands as they are."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from app.cli.main import app
from tests.cli.reference import MANUAL, commands, manual
from tests.cli.running import PYPICLOUD

EVERY = [" ".join(path) for path, _ in commands(typer.main.get_command(app), ())]


def test_the_manual_is_up_to_date() -> None:
    """``docs/cli.md`` is what ``python -m tests.cli.reference`` writes."""
    assert MANUAL.read_text(encoding="utf-8") == manual()


@pytest.mark.parametrize("name", EVERY)
def test_every_command_says_what_it_is(name: str) -> None:
    """Each has a sentence, and each of its options and arguments a line."""
    found = commands(typer.main.get_command(app), ())
    command: Any = next(one for path, one in found if " ".join(path) == name)
    assert command.help
    assert [one.name for one in command.params if not one.help and one.name != "help"] == []


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"_PYPICLOUD_COMPLETE": "source_bash"}, "_pypicloud_completion"),
        (
            {
                "_PYPICLOUD_COMPLETE": "complete_bash",
                "COMP_WORDS": "pypicloud migr",
                "COMP_CWORD": "1",
            },
            "migrate",
        ),
    ],
)
def test_shell_completion(tmp_path: Path, variables: dict[str, str], shown: str) -> None:
    """A shell gets its script, and by it the names of commands."""
    asked = subprocess.run(
        [PYPICLOUD],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shown in asked.stdout
