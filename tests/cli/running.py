"""The real command, in a folder of its own, with nothing of this machine's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.invariants.forking import parent_of

ROOT = Path(__file__).parents[2]
PYPICLOUD = Path(sys.executable).with_name("pypicloud")
TIMEOUT = 120


@dataclass(frozen=True)
class Desk:
    """Where commands are given; ``variables`` are more of their environment."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """All that a command sees."""
        return {"PATH": os.defpath, "HOME": str(self.folder), **self.variables}

    def having(self, **variables: str) -> Desk:
        """The same with more variables."""
        return Desk(self.folder, {**self.variables, **variables})

    def run(self, *arguments: str | Path, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command to its end, forked from a process that has imported it."""
        with tempfile.TemporaryDirectory(prefix="pypicloud-command-") as place:
            given, told, wrong = (Path(place, name) for name in ("in", "out", "err"))
            given.write_text(input)
            words = [str(word) for word in arguments]
            fork = parent_of(ROOT, ROOT).fork(
                words, self.environment, told, wrong, folder=self.folder, input=given
            )
            code = fork.wait(TIMEOUT)
            return subprocess.CompletedProcess(words, code, told.read_text(), wrong.read_text())

    def done(self, *arguments: str | Path) -> str:
        """What a command prints that has to succeed."""
        ran = self.run(*arguments)
        assert (ran.returncode, ran.stderr) == (0, ""), (ran.stdout, ran.stderr)
        return ran.stdout

    def json(self, *arguments: str | Path, code: int = 0) -> Any:
        """What a command prints with ``--json``."""
        ran = self.run(*arguments, "--json")
        assert ran.returncode == code, (ran.stdout, ran.stderr)
        return json.loads(ran.stdout)

    def refused(self, *arguments: str | Path, code: int = 2) -> str:
        """The one line with which a command ends that must not succeed."""
        ran = self.run(*arguments)
        assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr)
        assert "Traceback" not in ran.stderr
        assert ran.stderr.count("\n") == 1, ran.stderr
        return ran.stderr
