"""What is released: built the same twice, and good to install and serve from."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from app import __version__
from tests.processes import running

ROOT = Path(__file__).parent.parent
EPOCH = "1767225600"
TIMEOUT = 240.0


def build(folder: Path, kind: str) -> Path:
    """A wheel or an sdist of this very tree, by the backend that pyproject.toml names."""
    folder.mkdir(parents=True)
    script = f"import hatchling.build as b; print(b.build_{kind}({str(folder)!r}))"
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
        timeout=TIMEOUT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel."""
    return build(tmp_path_factory.mktemp("wheel") / "dist", "wheel")


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_builds_are_reproducible(tmp_path: Path, kind: str) -> None:
    """Twice the same bytes, whenever it is."""
    first, second = (build(tmp_path / name, kind) for name in ("first", "second"))
    assert first.name == second.name
    digests = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (first, second)]
    assert digests[0] == digests[1]


def test_the_version_is_said_in_one_place(wheel: Path) -> None:
    """pyproject.toml; what runs, what is built and the chart agree with it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert __version__ == version
    assert wheel.name == f"pypicloud-{version}-py3-none-any.whl"
    chart = (ROOT / "deploy" / "helm" / "pypicloud" / "Chart.yaml").read_text()
    assert f'appVersion: "{version}"' in chart


def test_the_sdist_has_what_a_release_needs(tmp_path: Path) -> None:
    """Sources, tests, manual and licence; nothing that lies around in a tree."""
    made = build(tmp_path / "dist", "sdist")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "pyproject.toml"}
    assert wanted <= names
    assert {"app/main.py", "tests/test_release.py", "docs/deployment.md"} <= names
    assert not [name for name in names if re.search(r"\.venv|__pycache__|\.pyc$|(^|/)\.env$", name)]


def test_the_wheel_has_the_service_and_nothing_else(wheel: Path) -> None:
    """``app``, templates and static files among it, the licence, and no tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"app", f"pypicloud-{__version__}.dist-info"}
    for wanted in ("app/static/swagger/", "app/templates/", "licenses/LICENSE"):
        assert any(wanted in name for name in names), wanted


@pytest.mark.slow
def test_the_wheel_installs_and_serves(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment of its own, from the wheel alone: nothing of this tree is needed."""
    place = tmp_path / "installed"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"),
            *("--target", str(place), str(wheel)),
        ],
        timeout=TIMEOUT,
        check=True,
    )
    script = tmp_path / "pypicloud"
    script.write_text(
        f"#!{sys.executable} -I\n"
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "from app.cli.main import main\n"
        f"import app; assert app.__file__.startswith({str(place)!r}), app.__file__\n"
        "main()\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr("tests.processes.PYPICLOUD", script)
    (tmp_path / "data").mkdir()
    with running(tmp_path / "data") as server:
        assert f"PyPICloud {__version__} at" in server.log
