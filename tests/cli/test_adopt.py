"""``pypicloud adopt`` on real folders, as a process that may be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pypicloud import old_sdist, sdist, wheel, write_file

PYPICLOUD = Path(sys.executable).with_name("pypicloud")


class Site:
    """A folder that PyPICloud filled, and settings that point there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"
        self.packages.mkdir()

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYPICLOUD_")}
        return clean | {
            "PYPICLOUD_STORAGE": f"file:{self.packages}",
            "PYPICLOUD_CACHE": f"sqlite+aiosqlite:///{self.folder}/cache.db",
            "PYPICLOUD_SPOOL": f"{self.folder}/spool",
        }

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            [PYPICLOUD, *arguments],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def outcomes(self, *arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What a run says with ``--json``: of each key, and in the end."""
        ran = self.run("adopt", "--json", *arguments)
        assert ran.stderr == ""
        *lines, last = (json.loads(line) for line in ran.stdout.splitlines())
        assert ran.returncode == (1 if last["left"] else 0)
        return lines, last

    def listing(self) -> dict[str, tuple[bytes, int]]:
        """Every file below the folder, with its bytes and its time."""
        paths = (path for path in self.packages.rglob("*") if path.is_file())
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder with some files."""
    site = Site(tmp_path)
    for old in (wheel("demo"), sdist("demo"), old_sdist("Old_Thing", "1.0-dev-r1")):
        write_file(site.packages, old)
    return site


def test_a_dry_run_writes_nothing(site: Site) -> None:
    """Without --apply, and with --dry-run, every byte and time of the folder stays as it is."""
    before = site.listing()
    for option in ((), ("--dry-run",)):
        ran = site.run("adopt", *option)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.splitlines()[-2:] == [
            "3 would be adopted.",
            "Nothing was written; adopt with --apply.",
        ]
    assert site.listing() == before
    assert {path.name for path in site.folder.iterdir()} == {"packages"}


def test_adopted_once(site: Site) -> None:
    """It says what it did; a second run finds it done and changes nothing; check agrees."""
    before = site.listing()
    ran = site.run("adopt", "--apply")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "3 adopted."
    assert "note: old-thing/1.0-dev-r1/Old_Thing-1.0-dev-r1.tar.gz: its version" in ran.stdout
    after = site.listing()
    assert {path: after[path] for path in before} == before
    again = site.run("adopt", "--apply")
    assert (again.returncode, again.stdout, again.stderr) == (0, "3 adopted before.\n", "")
    (entry,) = site.run("audit", "list", "--action", "adopt").stdout.splitlines()
    assert "  operator:" in entry
    assert site.listing() == after
    checked = site.run("check", "--deep")
    assert (checked.returncode, checked.stdout.count("all agree")) == (0, 1)
    assert list((site.folder / "spool").iterdir()) == []


def test_what_is_left_alone_ends_with_1(site: Site) -> None:
    """Every key that is left has a line with its reason, in text and in JSON."""
    egg = site.packages / "demo" / "1.0" / "demo-1.0-py2.7.egg"
    egg.write_bytes(b"egg")
    wrong = replace(wheel("demo", "2.0"), more={"hash_sha256": "0" * 64})
    key = write_file(site.packages, wrong)
    ran = site.run("adopt", "--apply")
    assert ran.returncode == 1
    assert "left alone: demo/1.0/demo-1.0-py2.7.egg: an egg" in ran.stdout
    assert f"left alone: {key}: the sha256 recorded for it is 000" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "3 adopted, 2 left alone."
    lines, last = site.outcomes()
    assert {line["key"]: line["state"] for line in lines}[key] == "adoptable"
    assert last == {
        "applied": False,
        "adopted": 0,
        "adoptable": 1,
        "known": 3,
        "copy": 0,
        "left": 1,
    }


def test_killed_and_run_again(site: Site) -> None:
    """Killed at any moment it left nothing half done: the next run adopts the rest, once."""
    keys = {write_file(site.packages, wheel(f"p{n % 5}", f"1.{n}")) for n in range(80)}
    command = [str(PYPICLOUD), "adopt", "--apply", "--json"]
    seen: set[str] = set()
    for limit in (1, 7, 20):
        with subprocess.Popen(
            command, cwd=site.folder, env=site.environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                outcome = json.loads(line)
                seen |= {outcome["key"]} if outcome["state"] == "adopted" else set()
                if outcome["state"] == "adopted" and (limit := limit - 1) <= 0:
                    break
            process.kill()
    lines, last = site.outcomes("--apply")
    states = {line["key"]: line["state"] for line in lines}
    assert keys <= states.keys()
    assert set(states.values()) == {"adopted", "known"}
    assert all(states[key] == "known" for key in seen)
    assert last["left"] == 0
    assert site.outcomes("--apply")[1]["known"] == len(states)
    # The markers of the killed runs are looked at by the service; nothing else is amiss.
    checked = site.run("check", "--deep")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "line", "code"),
    [
        (("../x",), {}, "No key begins with '../x'.", 2),
        ((), {"PYPICLOUD_STORAGE": "nowhere:x"}, "No storage for the URL scheme", 2),
        ((), {"PYPICLOUD_STORAGE": "file:/dev/null/x"}, "The storage folder", 2),
        (("--apply",), {"PYPICLOUD_SPOOL": "/dev/null/x"}, "PYPICLOUD_SPOOL: /dev/null/x", 2),
        (("--apply",), {"PYPICLOUD_CACHE": "nowhere:x"}, "No cache for the URL scheme", 2),
    ],
)
def test_errors_are_one_line(
    site: Site, arguments: tuple[str, ...], variables: dict[str, str], line: str, code: int
) -> None:
    """What cannot be is said in one line; nothing is written."""
    before = site.listing()
    ran = site.run("adopt", *arguments, **variables)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith(f"Error: {line}")
    assert ran.stderr.count("\n") == 1
    assert site.listing() == before


def test_a_trial_needs_no_cache(site: Site) -> None:
    """A dry run opens the storage and nothing else."""
    ran = site.run("adopt", PYPICLOUD_CACHE="nowhere:x", PYPICLOUD_SPOOL="/dev/null/x")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_an_empty_storage(tmp_path: Path) -> None:
    """Nothing to adopt is no error."""
    ran = Site(tmp_path).run("adopt", "--apply")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "Nothing to adopt.\n", "")


def test_a_reindex_says_what_waits(site: Site) -> None:
    """Until the folder is adopted a reindex names a file of it, and the command; then no more."""
    before = site.run("reindex")
    note, counts = before.stdout.splitlines()
    assert (before.returncode, before.stderr) == (0, "")
    assert note.startswith("Note: files that PyPICloud 1 left are not in this index, such as ")
    assert "`pypicloud adopt --apply`" in note
    assert counts.startswith("0 files of 0 projects")
    as_json = site.run("reindex", "--json")
    assert json.loads(as_json.stdout)["files"] == 0
    assert as_json.stderr == f"{note}\n"
    assert site.run("adopt", "--apply").returncode == 0
    after = site.run("reindex")
    assert (after.stdout.partition(";")[0], after.stderr) == ("3 files of 2 projects", "")
    assert site.run("reindex", "--json").stderr == ""
