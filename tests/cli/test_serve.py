"""``pypicloud serve`` and the command itself, as subprocesses."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.cli.serve import banner
from app.config import Settings

PYPICLOUD = Path(sys.executable).with_name("pypicloud")
OPEN = {"PYPICLOUD_DEFAULT_READ": "everyone"}


def environment(**variables: str) -> dict[str, str]:
    """The environment without settings but these, on a port of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYPICLOUD_")}
    return {**clean, "PYPICLOUD_PORT": "0", **variables}


def run(where: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [PYPICLOUD, *arguments],
        cwd=where,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(where: Path, *arguments: str, **variables: str) -> Iterator[tuple[str, str]]:
    """``pypicloud serve``: its URL and what it printed until it was ready."""
    log = where / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PYPICLOUD, "serve", *arguments],
            cwd=where,
            env=environment(**variables),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not (match := re.search(r" at (http://\S+)/$", log.read_text(), re.MULTILINE)):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        url = match[1]
        while not is_ready(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield url, log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def is_ready(url: str) -> bool:
    """Whether the service answers and can work."""
    try:
        return httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_it_says_what_a_newcomer_needs(tmp_path: Path) -> None:
    """The first start shows the admin's password, which works, and three lines to paste."""
    with running(tmp_path, **OPEN) as (url, printed):
        match = re.search(r"password (\S+) \(shown this once\)", printed)
        assert match is not None, printed
        auth = ("admin", match[1])
        assert httpx.get(f"{url}/api/v1/changes", auth=auth, trust_env=False).status_code == 200
        assert f"twine upload --repository-url {url}/legacy/ -u admin -p {match[1]}" in printed
        assert f"pip install --index-url {url}/simple/ NAME" in printed
        assert f"uv pip install --index {url}/simple/ NAME" in printed
        assert httpx.get(f"{url}/simple/", trust_env=False).status_code == 200
    with running(tmp_path, **OPEN) as (url, printed):
        assert "shown this once" not in printed
        assert match[1] not in printed


@pytest.mark.slow
def test_several_workers_share_one_admin(tmp_path: Path) -> None:
    """The password is made before the workers start, once; all of them serve."""
    with running(tmp_path, "--workers", "2") as (url, printed):
        assert printed.count("shown this once") == 1
        for _ in range(8):
            assert httpx.get(f"{url}/health/live", trust_env=False).status_code == 200


@pytest.mark.slow
def test_a_worker_that_is_held_up_is_not_killed(tmp_path: Path) -> None:
    """One that does not answer for some seconds, as on a busy machine, goes on after them."""
    log = tmp_path / "log"
    with running(tmp_path, "--workers", "2") as (url, _):
        deadline = time.monotonic() + 60
        while len(pids := re.findall(r"Started server process \[(\d+)\]", log.read_text())) < 2:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        os.kill(int(pids[0]), signal.SIGSTOP)
        time.sleep(7)
        os.kill(int(pids[0]), signal.SIGCONT)
        time.sleep(1)
        assert " died" not in log.read_text()
        assert re.findall(r"Started server process \[(\d+)\]", log.read_text()) == pids
        for pid in pids:
            os.kill(int(pid), 0)
        assert httpx.get(f"{url}/health/live", trust_env=False, timeout=30).status_code == 200


def test_reading_with_credentials_is_said_so() -> None:
    """Where not everyone may read, the lines carry the name, and the password if it is new."""
    lines = banner(Settings(), 8000, "a+b")
    assert "pip install --index-url http://admin:a%2Bb@127.0.0.1:8000/simple/ NAME" in lines
    lines = banner(Settings(), 8000, None)
    assert "pip install --index-url http://admin:PASSWORD@127.0.0.1:8000/simple/ NAME" in lines


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(host="0.0.0.0"), "http://127.0.0.1:80/legacy/"),
        (Settings(host="::"), "http://[::1]:80/legacy/"),
        (Settings(host="::1", root_path="/x"), "http://[::1]:80/x/legacy/"),
        (Settings(public_url="https://pypi.example/x"), "https://pypi.example/x/legacy/"),
    ],
)
def test_the_url_is_the_one_to_use(settings: Settings, url: str) -> None:
    """What is shown can be pasted, whatever it listens on."""
    assert f"--repository-url {url} " in banner(settings, 80, None)


def test_plain_http_elsewhere_needs_pips_consent() -> None:
    """pip refuses http but from loopback, unless told to trust the host."""
    assert "--trusted-host index.example NAME" in banner(Settings(host="index.example"), 80, None)
    assert "--trusted-host" not in banner(Settings(), 80, None)


def test_a_bad_setting_ends_it_with_one_line(tmp_path: Path) -> None:
    """Exit code 2, the line, nothing else."""
    ran = run(tmp_path, "serve", PYPICLOUD_WORKERS="none")
    assert ran.returncode == 2
    assert re.fullmatch(r"Error: PYPICLOUD_WORKERS: .*\n", ran.stderr)
    assert ran.stdout == ""


def test_a_start_that_fails_is_told(tmp_path: Path) -> None:
    """Exit code 3 and the reason where a backend does not open."""
    ran = run(tmp_path, "serve", PYPICLOUD_STORAGE="nowhere:x")
    assert ran.returncode == 3
    assert "No storage for the URL scheme 'nowhere'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_version_is_told(tmp_path: Path) -> None:
    """``--version`` prints it."""
    assert run(tmp_path, "--version").stdout == f"pypicloud {__version__}\n"


def test_help_names_every_command(tmp_path: Path) -> None:
    """Without a command there is help."""
    printed = run(tmp_path, "--help").stdout
    for command in ("serve", "reindex", "check", "yank", "delete", "restore", "user"):
        assert re.search(rf"\b{command}\b", printed)
