"""The manual of the command line is that of the commands as they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from app.cli.main import app
from tests.cli.reference import MANUAL, commands, manual
from tests.cli.running import PYPICLOUD

ROOT = Path(__file__).parents[2]
CALL = re.compile(r"(?<!install)[\s|(]pypicloud ([a-z][^|&;>#()]*)")
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


def _written() -> list[tuple[str, str]]:
    """Every line of the documents that calls the command, and where it stands."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = page.read_text()
        blocks = re.findall(r"(?ms)^```[a-z]*\n(.*?)^```", text)
        code = [line for block in blocks for line in block.splitlines()]
        code += [line for line in text.splitlines() if line.startswith("    ")]
        code += re.findall(r"`([^`\n]+)`", text)
        found += [(page.name, call) for line in code for call in CALL.findall(f" {line.strip()}")]
    return found


def test_every_command_that_is_written_is_one() -> None:
    """Whatever README and manual tell people to type has its command and its options."""
    root: Any = typer.main.get_command(app)
    known = {" ".join(path): command for path, command in commands(root, ())}
    groups = {name.split()[0] for name in known if " " in name}
    wrong = []
    written = _written()
    for page, call in written:
        words = call.replace(r"\"", "").split()
        names = words[0].split(",")[0], *words[1:2]
        command = known.get(" ".join(names)) or known.get(names[0])
        if command is None:
            if not (names[0] in groups and ("|" in call or len(words) == 1 or "…" in call)):
                wrong.append(f"{page}: pypicloud {call}")
            continue
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        for word in words:
            option = word.partition("=")[0].rstrip(".,:")
            if option.startswith("--") and option not in {*options, "--help"}:
                wrong.append(f"{page}: pypicloud {call}: {option}")
    assert len(written) > 150
    assert wrong == []
