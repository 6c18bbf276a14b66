"""What a person sees at a terminal, a program in a pipe, and either after Ctrl-C."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.running import PYPICLOUD, TIMEOUT, Desk
from tests.factories import make_wheel
from tests.routes.site import ADMIN, site

FILES = 300
FRAMES = "╭│╰─"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder without settings."""
    return Desk(tmp_path)


def at_a_terminal(desk: Desk, *arguments: str) -> str:
    """What a command shows there; it has to succeed."""
    ours, its = pty.openpty()
    environment = {**desk.environment, "TERM": "xterm", "COLUMNS": "120"}
    ran = subprocess.Popen(
        [PYPICLOUD, *arguments], cwd=desk.folder, env=environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    finally:
        os.close(ours)
    assert ran.wait(TIMEOUT) == 0, shown
    return shown.decode()


def test_help_and_slips_are_plain_in_a_pipe(desk: Desk) -> None:
    """Without frames, which a terminal has."""
    told = desk.done("--help") + desk.done("user", "add", "--help")
    assert "Add a user." in told
    slip = desk.run("user", "ad")
    assert slip.returncode == 2
    assert slip.stderr.splitlines()[-1].startswith("Error: No such command 'ad'.")
    for frame in FRAMES:
        assert frame not in told + slip.stderr
    assert "╭" in at_a_terminal(desk, "--help")


def test_lists_are_tables_at_a_terminal_and_lines_in_a_pipe(desk: Desk) -> None:
    """With a head for people; programs get what they always got."""
    assert "None." in at_a_terminal(desk, "group", "list")
    assert desk.done("group", "list") == ""
    desk.done("group", "add", "builders")
    desk.done("group", "add", "ops")
    shown = at_a_terminal(desk, "group", "list")
    assert "members" in shown
    assert "─" in shown
    assert desk.done("group", "list") == "builders\nops\n"
    assert "group.create" in at_a_terminal(desk, "audit", "list")
    lines = desk.done("audit", "list").splitlines()
    assert [line.split("  ")[2] for line in lines] == ["group.create"] * 2
    entries = desk.json("audit", "list", "--limit", "1")
    assert [entry["action"] for entry in entries] == ["group.create"]


def test_long_work_is_interrupted_and_goes_on(desk: Desk) -> None:
    """Ctrl-C ends it with 130 and one line; the same command does what is left.

    It cannot be done before: what it says of all files is more than a short pipe holds.
    """
    place = desk.folder / "dist"
    place.mkdir()
    for number in range(FILES):
        made = make_wheel(f"part-{number}", "1.0")
        (place / made.filename).write_bytes(made.content)
    # Whoever runs the tests may be deaf to it, which is inherited.
    command = ["env", "--default-signal=INT"]
    command += [str(PYPICLOUD), "migrate", "folder", "dist", "--json"]
    with subprocess.Popen(
        command, cwd=desk.folder, env=desk.environment, stderr=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, pipesize=4096,
    ) as running:  # fmt: skip
        journal = desk.folder / "data" / "packages" / "journal"
        deadline = time.monotonic() + TIMEOUT
        while not journal.is_dir() or len(list(journal.iterdir())) < 3:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=TIMEOUT)
    assert running.returncode == 130
    assert told == "Error: interrupted. Give the same command again, and it goes on.\n"
    taken = len(list(journal.iterdir()))
    assert taken < FILES
    ran = desk.run("migrate", "folder", "dist", "--json")
    assert ran.returncode == 0, ran.stderr
    assert len(list(journal.iterdir())) == FILES
    assert "findings" in (told := desk.done("check", "--json"))
    assert f'"files": {FILES}' in told


def test_long_work_shows_its_progress_at_a_terminal(desk: Desk, tmp_path: Path) -> None:
    """Files that come and go by their bytes, a backup by its records; the result stays."""
    made = make_wheel(
        "watched", "1.0", files={"watched.py": b"# " + os.urandom(2**20).hex().encode()}
    )
    (desk.folder / made.filename).write_bytes(made.content)
    with site(tmp_path / "index") as index:
        known = desk.having(TWINE_USERNAME=ADMIN[0], TWINE_PASSWORD=ADMIN[1])
        sent = at_a_terminal(known, "upload", made.filename, "--url", index.url)
        assert "MiB" in sent
        assert f"uploaded: {made.filename}" in sent
        got = at_a_terminal(known, "download", "watched", "--to", "got", "--url", index.url)
        assert "MiB" in got
        assert (desk.folder / "got" / made.filename).read_bytes() == made.content
    desk.done("migrate", "folder", ".", "--json")
    assert "records" in at_a_terminal(desk, "backup", "all.tar.gz").partition("Wrote")[0]
    assert "1 of 1 projects" in at_a_terminal(desk, "stats").partition("releases")[0]
    swept = at_a_terminal(desk, "gc").partition("would be")[0]
    assert "1 projects, 2 keys of bytes" in swept  # the wheel's own, and its metadata's
    shutil.rmtree(desk.folder / "data" / "packages" / "journal")
    back = at_a_terminal(desk, "restore-backup", "all.tar.gz").partition("brought back")[0]
    for told in (" records", "1 files of 1 projects, by "):
        assert told in back
