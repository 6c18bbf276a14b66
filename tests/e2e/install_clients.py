"""Install the clients that the end-to-end tests run, each in a folder of its own.

    python tests/e2e/install_clients.py [NAME ...]

``requirements/NAME.txt`` pins a client and all that it needs; they contradict each
other, so each gets ``.venv-clients/NAME``. A client already installed as pinned costs
a file read. One that cannot be installed is named, and the exit status is 1; only one that
needs a newer Python than there is may be missing where nobody set CI.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
CLIENTS = ROOT / ".venv-clients"
INSTALLER = "uv"
"""Installs the others; is itself installed by pip."""

MINIMUM_PYTHON = {"bandersnatch": (3, 12)}
"""Clients that do not run on every Python that the index runs on."""

TIMEOUT = 600.0
"""Seconds that one command may take."""


class NotInstalled(Exception):
    """A client cannot be installed; the message says which command failed, and how."""


class PythonTooOld(NotInstalled):
    """A client needs a newer Python than this machine has."""


def main(names: Sequence[str]) -> int:
    """Install ``names``, or every client; returns the exit status."""
    known = sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))
    if unknown := set(names) - set(known):
        print(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
        return 2
    missing = [name for name in names or known if not is_installed(name)]
    if not missing:
        print(f"Clients ready: {', '.join(names or known)}.")
        return 0
    failures: dict[str, Exception] = {}
    if not is_installed(INSTALLER):
        failures |= attempt(INSTALLER)
    others = [name for name in missing if name != INSTALLER]
    if failures:
        failures |= dict.fromkeys(others, NotInstalled(f"{INSTALLER} installs it"))
    else:
        with ThreadPoolExecutor(max_workers=4) as pool:
            for failure in pool.map(attempt, others):
                failures |= failure
    for name, why in failures.items():
        print(f"NOT INSTALLED: {name}\n{why}\n", file=sys.stderr)
    ready = [name for name in missing if name not in failures and is_installed(name)]
    print(f"Clients installed: {', '.join(ready) or 'none'}.")
    if failures:
        print(f"Clients NOT installed: {', '.join(failures)}.", file=sys.stderr)
    excused = () if os.environ.get("CI") else PythonTooOld
    return 1 if any(not isinstance(why, excused) for why in failures.values()) else 0


def attempt(name: str) -> dict[str, Exception]:
    """Install one client; returns ``{name: what went wrong}``, empty if nothing did."""
    try:
        install(name)
    except (NotInstalled, OSError, subprocess.TimeoutExpired) as error:
        return {name: error}
    return {}


def install(name: str) -> None:
    """Make ``.venv-clients/NAME`` anew; its stamp is written last."""
    folder = CLIENTS / name
    shutil.rmtree(folder, ignore_errors=True)
    requirements = str(REQUIREMENTS / f"{name}.txt")
    if name == INSTALLER:
        venv.create(folder, symlinks=True)
        python = str(folder / "bin" / "python")
        call(sys.executable, "-m", "pip", "--python", python, "install", "-qr", requirements)
    else:
        uv = str(CLIENTS / INSTALLER / "bin" / "uv")
        call(uv, "venv", "-q", "--python", python_for(name), str(folder))
        python = str(folder / "bin" / "python")
        call(uv, "pip", "install", "-q", "--python", python, "-r", requirements)
    stamp(name).write_text(fingerprint(name))


def is_installed(name: str) -> bool:
    """Whether the client stands there as pinned now."""
    return stamp(name).is_file() and stamp(name).read_text() == fingerprint(name)


def stamp(name: str) -> Path:
    """The file that says what was installed."""
    return CLIENTS / name / ".installed"


def fingerprint(name: str) -> str:
    """Changes with the pins, and with the Python that runs this."""
    pins = (REQUIREMENTS / f"{name}.txt").read_bytes()
    return hashlib.sha256(pins + sys.version.encode() + sys.executable.encode()).hexdigest()


def python_for(name: str) -> str:
    """An interpreter that is new enough for the client; this one wherever it is."""
    minimum = MINIMUM_PYTHON.get(name, (3, 11))
    if sys.version_info >= minimum:
        return sys.executable
    for candidate in interpreters():
        version = re.search(r"^Python (\d+)\.(\d+)", answer(candidate, "--version"))
        if version and (int(version[1]), int(version[2])) >= minimum:
            return candidate
    wanted = ".".join(str(number) for number in minimum)
    raise PythonTooOld(f"{name} needs Python {wanted} or newer, and none was found.")


def interpreters() -> Iterator[str]:
    """Every Python 3 on the path and, where pyenv keeps them, beside it."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob("*/bin"))
    for folder in folders:
        for path in sorted(folder.glob("python3.*"), reverse=True):
            if re.fullmatch(r"python3\.\d+", path.name):
                yield str(path)


def answer(*command: str) -> str:
    """What a command prints; nothing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def call(*command: str) -> None:
    """Run a command.

    Raises:
        NotInstalled: it failed; the message holds what it printed.
    """
    environment = os.environ | index_settings()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        env=environment,
    )
    if done.returncode != 0:
        raise NotInstalled(f"$ {' '.join(command)}\n{done.stdout.strip()}")


def index_settings() -> dict[str, str]:
    """Where pip is told to look, said to uv as well, which does not read pip's settings."""
    if "UV_DEFAULT_INDEX" in os.environ:
        return {}
    index = answer(sys.executable, "-m", "pip", "config", "get", "global.index-url").strip()
    index = os.environ.get("PIP_INDEX_URL", index)
    return {"UV_DEFAULT_INDEX": index} if index else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
