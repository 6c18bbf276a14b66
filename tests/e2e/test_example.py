"""The example of a storage and a cache of one's own: installed, it keeps what it promises."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import ROOT, Sandbox
from tests.e2e.server import UPLOADER, Server, serve
from tests.e2e.uploaders import twine

EXAMPLE = ROOT / "examples" / "onefile"
PACKAGE = "pypicloud_onefile"
BUILD_TIMEOUT, TEST_TIMEOUT = 120.0, 900.0
"""Seconds."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example as pip installs it, without a network."""
    sources = tmp_path_factory.mktemp("sources") / "onefile"
    shutil.copytree(EXAMPLE, sources, ignore=shutil.ignore_patterns("__pycache__", "build", "dist"))
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check", "--target", target, sources),
        ],
        env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
        timeout=BUILD_TIMEOUT,
        check=True,
    )
    return target


@pytest.mark.slow
@pytest.mark.timeout(TEST_TIMEOUT)
@pytest.mark.parametrize("name", ["test_storage.py", "test_cache.py"])
def test_it_keeps_the_contracts(name: str, installed: Path, tmp_path: Path) -> None:
    """Its tests, contracts included, pass upon what was installed, away from its sources."""
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", tmp_path)
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{name}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=TEST_TIMEOUT,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    last = found.stdout.splitlines()[-1]
    assert int(last.split(" passed")[0].split()[-1]) > 100, last
    assert "skipped" not in last


@pytest.fixture
def index(installed: Path, tmp_path: Path) -> Iterator[Server]:
    """A service that keeps everything in the example's files."""
    folder = tmp_path / "index"
    folder.mkdir()
    variables = {
        "PYTHONPATH": str(installed),
        "PYPICLOUD_STORAGE": f"onefile:{folder}/packages.db",
        "PYPICLOUD_CACHE": f"jsonlines:{folder}/cache.jsonl",
    }
    with serve(folder, read="everyone", variables=variables) as server:
        yield server


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_the_service_runs_on_it(sandbox: Sandbox, index: Server) -> None:
    """twine uploads to it and pip installs from it; what it keeps is in its files."""
    release = Release(name="one-file", version="1.5")
    project = release.write(sandbox.folder / "project")
    uploaded = twine(sandbox, project, index, UPLOADER)
    assert uploaded.status == 0, str(uploaded)
    venv = sandbox.venv()
    sandbox.must(
        *("pip", "--python", str(venv.python), "install", "--index-url", index.simple, "one-file")
    )
    assert venv.installed()["one-file"] == "1.5"
    assert b"one-file" in (index.folder / "cache.jsonl").read_bytes()
    assert (index.folder / "packages.db").stat().st_size > 0
    assert not (index.folder / "packages").exists()
