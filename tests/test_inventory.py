"""What a release says of what it stands on: licences, a bill of materials, known holes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "licences.md"
PINNED = {
    str(canonicalize_name(line.partition("==")[0]))
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line
}


def inventory(what: str) -> str:
    """What the script prints."""
    return subprocess.run(
        [sys.executable, ROOT / "deploy" / "inventory.py", what],
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    ).stdout


def rows(page: str) -> dict[str, str]:
    """The licence of each distribution in the page's table."""
    cells = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| "))
    return {cell[0]: cell[1] for cell in cells if cell[0] not in ("distribution", "---")}


def test_the_licences_are_those_of_what_is_installed() -> None:
    """Each with a licence; what another Python needs may stand there too, if it is pinned."""
    made, kept = rows(inventory("licences")), rows(PAGE.read_text())
    assert len(made) > 50
    assert all(made.values())
    assert {name: kept.get(name) for name in made} == made
    assert kept.keys() - made.keys() <= PINNED


def test_the_bill_of_materials_is_valid_and_says_the_same_twice() -> None:
    """CycloneDX 1.6, by its schema; every part has a version and a place in the tree."""
    text = inventory("sbom")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert inventory("sbom") == text
    made = json.loads(text)
    parts = {one["name"]: one for one in made["components"]}
    assert parts.keys() == rows(inventory("licences")).keys()
    assert parts["fastapi"]["version"] == version("fastapi")
    assert made["metadata"]["component"]["version"] == version("pypicloud")
    known = {one["bom-ref"] for one in made["components"]}
    ours, *others = sorted(made["dependencies"], key=lambda one: "pypicloud@" not in one["ref"])
    assert parts["starlette"]["bom-ref"] in ours["dependsOn"]
    assert all(set(one["dependsOn"]) <= known for one in (ours, *others))


def test_nothing_that_is_served_is_without_a_pin() -> None:
    """What was tested together is what is installed."""
    assert rows(PAGE.read_text()).keys() <= PINNED


def test_make_release_makes_all_of_it(tmp_path: Path) -> None:
    """Wheel, sdist, bill of materials, and sums that hold."""
    tree = tmp_path / "tree"
    names = (
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
        "app",
        "deploy",
    )
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        tree.mkdir(exist_ok=True)
        copy(ROOT / name, tree / name)
    make(tree, "release", SOURCE_DATE_EPOCH="1767225600")
    made = {path.name for path in (tree / "dist").iterdir()}
    base = f"pypicloud-{version('pypicloud')}"
    wanted = {f"{base}-py3-none-any.whl", f"{base}.tar.gz", f"{base}.cdx.json", "SHA256SUMS"}
    assert made == wanted
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tree / "dist", check=True)


def make(
    tree: Path, *arguments: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run make in a tree whose environment is this one."""
    (tree / ".venv").mkdir()
    for entry in ("bin", "lib", "pyvenv.cfg"):
        (tree / ".venv" / entry).symlink_to(Path(sys.prefix) / entry)
    (tree / ".venv" / "ready").touch()
    ran = subprocess.run(
        ["make", *arguments],
        cwd=tree,
        env={"PATH": os.defpath, "HOME": str(tree), **variables},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran


@contextmanager
def advisories(hole: str, name: str, *, well: bool = True) -> Iterator[str]:
    """A database of known holes on loopback, in which ``name`` has one."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            package = {"name": name, "ecosystem": "PyPI"}
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
            found = {
                "id": hole,
                "summary": "It is open.",
                "details": "Wide.",
                "affected": [{"package": package, "ranges": ranges}],
                "published": "2026-01-01T00:00:00Z",
            }
            told = {"vulns": [found]} if asked["package"]["name"] == name else {}
            body = json.dumps(told).encode()
            self.send_response(200 if well else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("holed", "well", "told"),
    [
        ("nobody", True, "distributions looked at, nothing found."),
        ("starlette", True, "MADE-UP-1, fixed in 99.0"),
        ("nobody", False, "NOT AUDITED"),
    ],
    ids=["clean", "a hole", "nobody to ask"],
)
def test_make_audit_says_what_is_known(tmp_path: Path, holed: str, well: bool, told: str) -> None:
    """Nothing, a hole by its name, or that nobody could be asked: never the one for the other."""
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    with advisories("MADE-UP-1", holed, well=well) as url:
        options = f"AUDIT=--vulnerability-service osv --osv-url {url}"
        clean = holed == "nobody" and well
        ran = make(tmp_path, "audit", options, code=0 if clean else 2)
    assert told in ran.stdout + ran.stderr
