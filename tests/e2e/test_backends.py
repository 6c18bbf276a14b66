"""What real build backends make is taken as it is, and installs again, wheel and sdist."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.e2e.projects import EPOCH, Release
from tests.e2e.sandbox import CLIENTS, Sandbox
from tests.e2e.server import UPLOADER, Server
from tests.e2e.uploaders import twine

pytestmark = pytest.mark.e2e

BACKENDS = {
    "flit": "flit_core.buildapi",
    "hatchling": "hatchling.build",
    "pdm": "pdm.backend",
    "poetry": "poetry.core.masonry.api",
    "setuptools": "setuptools.build_meta",
    "uv": "uv_build",
}
BUILDER = CLIENTS / "build" / "bin"


@pytest.mark.parametrize("name", list(BACKENDS))
def test_built_distributions(name: str, sandbox: Sandbox, open_index: Server) -> None:
    """A wheel and an sdist arrive unchanged; both install, the sdist by building it again."""
    release = Release(name=f"Built.by-{name}")
    folder = release.write_sources(sandbox.folder / "project", BACKENDS[name])
    built = sandbox.execute(
        *(BUILDER / "python", "-m", "build", "--no-isolation", "--skip-dependency-check"),
        cwd=folder,
        PATH=f"{BUILDER}:/usr/bin:/bin",
        SOURCE_DATE_EPOCH=str(EPOCH),
    )
    assert built.status == 0, str(built)
    uploaded = twine(sandbox, folder, open_index, UPLOADER)
    assert uploaded.status == 0, str(uploaded)
    shown = open_index.hashes(f"built-by-{name}")
    assert len(shown) == 2
    (wheel,) = (folder / "dist").glob("*.whl")
    assert open_index.metadata(f"built-by-{name}", wheel.name) == metadata(wheel)
    for form in (["--only-binary=:all:"], ["--no-binary=:all:", "--no-build-isolation"]):
        target = sandbox.folder / form[0].strip("-=:")
        sandbox.must(
            "pip",
            *("--python", str(BUILDER / "python"), "install", *form, "--target", str(target)),
            *("--index-url", open_index.simple, release.name),
            cwd=sandbox.folder,
            PATH=f"{BUILDER}:/usr/bin:/bin",
        )
        assert (target / release.module / "__init__.py").is_file()


def metadata(wheel: Path) -> bytes:
    """The core metadata inside a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(path)
