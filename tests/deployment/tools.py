"""The programs that look over what ``deploy/`` has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.servers.running import INSTALLED, ROOT

DEPLOY = ROOT / "deploy"
TIMEOUT = 120.0


def installed(name: str, *arguments: str | Path, **more: str) -> str:
    """What a program of ``.venv-servers`` says; it must succeed."""
    return said(INSTALLED / "bin" / name, *arguments, **more)


def debian(name: str, package: str, *arguments: str | Path) -> str:
    """The same of one of Debian's."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/usr/local/bin")
    assert found, f"Tests need {name} (Debian: apt-get install {package})."
    return said(found, *arguments)


def said(program: str | Path, *arguments: str | Path, **more: str) -> str:
    """Standard output and errors of a program that must succeed; ``input`` is its input."""
    ran = subprocess.run(
        [str(program), *map(str, arguments)],
        input=more.get("input"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        check=False,
    )
    assert ran.returncode == 0, f"{program}: {ran.stdout}"
    return ran.stdout
