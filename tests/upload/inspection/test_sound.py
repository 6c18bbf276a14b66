"""What must pass: every build backend's files, big ones, the oddities of older tools."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from app import errors
from app.models import Kind
from app.upload.inspection import Inspectors
from tests.factories import make_sdist, make_wheel, metadata
from tests.hostile.sdists import DIRECTORY, INFO, TOP
from tests.hostile.sdists import SOUND as SDIST
from tests.hostile.tars import GNU, file, header, long_name, pax, zipped
from tests.hostile.wheels import DATA, FILENAME, METADATA, ROOT, SOUND, record, row, wheel
from tests.hostile.zips import Zip, deflate, extra_field
from tests.upload.inspection.conftest import Inspect

BACKENDS = {
    "hatchling": ("hatchling.build", "hatchling"),
    "setuptools": ("setuptools.build_meta", "setuptools"),
    "flit": ("flit_core.buildapi", "flit_core"),
    "poetry": ("poetry.core.masonry.api", "poetry-core"),
    "pdm": ("pdm.backend", "pdm-backend"),
    "uv": ("uv_build", "uv_build"),
}
BUILD = """
import importlib, sys
backend = importlib.import_module(sys.argv[1])
getattr(backend, sys.argv[2])(sys.argv[3])
"""


def project(root: Path, backend: str, requirement: str) -> None:
    """A small project with an accent, a script, a licence and a long path."""
    package = root / "src" / "real_demo"
    deep = package / "_".join(["deep"] * 12) / "_".join(["deeper"] * 10)
    deep.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A demonstration."""\n\n__version__ = "1.0"\n')
    (deep / "data_é.txt").write_text("é")
    (deep / "__init__.py").write_text("")
    (deep.parent / "__init__.py").write_text("")
    (root / "LICENSE").write_text("MIT")
    (root / "README.md").write_text("# Demo é\n" * 2000)
    (root / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{requirement}"]\nbuild-backend = "{backend}"\n'
        '[project]\nname = "real-demo"\nversion = "1.0"\ndescription = "Demo é"\n'
        'readme = "README.md"\nlicense = {text = "MIT"}\nrequires-python = ">=3.9"\n'
        '[project.scripts]\nreal-demo = "real_demo:main"\n'
    )


@pytest.mark.parametrize("name", BACKENDS)
async def test_what_backends_build_passes(name: str, tmp_path: Path, pool: Inspectors) -> None:
    """The wheel and the sdist of each common build backend pass both profiles."""
    backend, requirement = BACKENDS[name]
    source, built = tmp_path / "source", tmp_path / "built"
    source.mkdir()
    built.mkdir()
    project(source, backend, requirement)
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    for hook in ("build_wheel", "build_sdist"):
        command = [sys.executable, "-W", "ignore", "-c", BUILD, backend, hook, str(built)]
        done = subprocess.run(
            command, cwd=source, env=environ, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
    paths = sorted(built.iterdir())
    assert len(paths) == 2
    for path in paths:
        kind = Kind.WHEEL if path.suffix == ".whl" else Kind.SDIST
        for profile in ("strict", "import"):
            found = await pool.inspect(path, filename=path.name, kind=kind, profile=profile)
            assert b"\nVersion: 1.0" in found.metadata
            assert found.has_pyproject == (kind is Kind.SDIST)
            assert (found.entry_points is not None) == (kind is Kind.WHEEL)


async def test_cnt_1_the_findings_of_a_wheel(inspect: Inspect) -> None:
    """METADATA, WHEEL and entry points are the exact bytes; the root is the dist-info."""
    made = make_wheel(dist_info={"entry_points.txt": b"[console_scripts]\na = b:c\n"})
    found = await inspect(made.filename, made.content)
    assert found.root == "demo-1.0.dist-info"
    assert found.metadata == metadata("demo", "1.0")
    assert found.wheel is not None
    assert found.wheel.startswith(b"Wheel-Version: 1.0\n")
    assert found.entry_points == b"[console_scripts]\na = b:c\n"
    assert found.members == 5
    assert not found.has_pyproject


async def test_the_findings_of_an_sdist(inspect: Inspect) -> None:
    """PKG-INFO is the exact bytes; the root is the top directory; pyproject.toml is seen."""
    made = make_sdist()
    found = await inspect(made.filename, made.content)
    assert (found.root, found.wheel, found.entry_points) == ("demo-1.0", None, None)
    assert found.metadata == metadata("demo", "1.0")
    assert found.has_pyproject
    assert {"PKG-INFO", "pyproject.toml"} <= found.names


async def test_cnt_7_licenses_are_found_wherever_they_are(inspect: Inspect) -> None:
    """A License-File is known to be there or not, deep in an sdist or among thousands too."""
    headers = [("License-File", "deep/er/LICENSE"), ("License-File", "absent")]
    many = {f"src/m{number}.py": b"" for number in range(3_000)}
    sdist = make_sdist(headers=headers, files={**many, "deep/er/LICENSE": b"MIT"})
    many = {f"licenses/{number}": b"" for number in range(3_000)}
    whl = make_wheel(headers=headers, dist_info={**many, "licenses/deep/er/LICENSE": b"MIT"})
    for made in (sdist, whl):
        found = await inspect(made.filename, made.content)
        prefix = "licenses/" if made is whl else ""
        assert f"{prefix}deep/er/LICENSE" in found.names
        assert f"{prefix}absent" not in found.names
        assert len(found.names) < 1_100


async def test_long_descriptions_pass(inspect: Inspect) -> None:
    """Metadata of several MiB comes through whole."""
    made = make_wheel(description="word " * 1_000_000)
    found = await inspect(made.filename, made.content)
    assert len(found.metadata) > 5_000_000


async def test_vendored_dist_infos_pass(inspect: Inspect) -> None:
    """Another dist-info deeper down is somebody else's (flit_core has one)."""
    content = wheel({"evil/vendor/tomli-1.0.dist-info/METADATA": b"Name: tomli\n"})
    assert (await inspect(FILENAME, content)).metadata == METADATA


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
async def test_stronger_hashes_pass(inspect: Inspect, algorithm: str) -> None:
    """RECORD may use sha384 and sha512."""

    def stronger(rows: list[str]) -> list[str]:
        return [row(name, content, algorithm) for name, content in SOUND.items()] + rows[-1:]

    assert (await inspect(FILENAME, wheel(rows=stronger))).members == 4


async def test_signatures_and_directories_pass(inspect: Inspect) -> None:
    """RECORD.jws, RECORD.p7s and directories need not be listed; stored and quoted names work."""
    extra = {f"{ROOT}/RECORD.jws": b"{}", "evil/": b"", 'evil/a,"b.txt': b"x", f"{DATA}/": b""}

    def quoted(rows: list[str]) -> list[str]:
        kept = [line for line in rows if "RECORD.jws" not in line and 'a,"b' not in line]
        return [*kept, '"evil/a,""b.txt",' + row("x", b"x").partition(",")[2]]

    tweaks = {name: {"method": 0, "attributes": 0o40755 << 16} for name in ("evil/", f"{DATA}/")}
    found = await inspect(FILENAME, wheel(extra, rows=quoted, tweaks=tweaks))
    assert found.members == 8


async def test_schemes_and_scripts_pass(inspect: Inspect) -> None:
    """The five directories of .data pass, with scripts of ordinary names; pip may ship pip."""
    schemes = ("purelib", "platlib", "headers", "scripts", "data")
    extra = {f"{DATA}/{scheme}/python-{scheme}": b"x" for scheme in schemes}
    assert (await inspect(FILENAME, wheel(extra))).members == 9
    made = make_wheel("pip", "99", files={"pip-99.data/scripts/pip3": b"#!python\n"})
    assert (await inspect(made.filename, made.content)).members == 4


async def test_zip64_passes(inspect: Inspect) -> None:
    """Wide sizes and a wide end record pass where all that they say agrees."""
    name = "evil/__init__.py"
    content = SOUND[name]
    packed = len(deflate(content))
    wide = extra_field(1, struct.pack("<2Q", len(content), packed))
    most = {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}
    for tweak in (
        {"local": most, "local_extra": wide},
        {"both": most, "extra": wide, "local_extra": wide},
    ):
        whl = wheel(tweaks={name: tweak}, zip64={}, here=0xFFFF, count=0xFFFF)
        assert (await inspect(FILENAME, whl)).members == 4


async def test_import_takes_data_descriptors_that_agree(inspect: Inspect) -> None:
    """The import profile reads archives that were written to a pipe, if all sizes agree."""
    name = "evil/__init__.py"
    content = SOUND[name]
    sizes = (zlib.crc32(content), len(deflate(content)), len(content))
    for shape, *parts in (("<4s3L", b"PK\7\x08", *sizes), ("<3L", *sizes), ("<L2Q", *sizes)):
        tweak = {
            "both": {"flags": 8},
            "local": {"crc": 0, "packed": 0, "size": 0},
            "after": struct.pack(str(shape), *parts),
        }
        whl = wheel(tweaks={name: tweak})
        assert (await inspect(FILENAME, whl, "import")).members == 4
        tweak["after"] = struct.pack("<3L", 1, 2, 3)
        with pytest.raises(errors.InvalidUpload, match="data descriptor"):
            await inspect(FILENAME, wheel(tweaks={name: tweak}), "import")


async def test_import_takes_other_spellings(inspect: Inspect) -> None:
    """Older tools spelled the directory otherwise than the filename; import takes that."""
    content = wheel()
    for filename in ("Evil-1.0-py3-none-any.whl", "EVIL-1_0-py3-none-any.whl"):
        assert (await inspect(filename, content, "import")).root == ROOT
        with pytest.raises(errors.InvalidUpload, match="should be"):
            await inspect(filename, content)
    sdist = zipped(DIRECTORY, file(f"{TOP}/PKG-INFO", INFO))
    assert (await inspect("Evil-1.0.tar.gz", sdist, "import")).root == TOP


async def test_import_takes_what_older_tools_left(inspect: Inspect) -> None:
    """Rows without size, padded hashes and names that differ in case pass import, not strict."""

    def old(rows: list[str]) -> list[str]:
        name, digest, _ = rows[0].split(",")
        return [f"{name},{digest}=,", *rows[1:]]

    twins = {"evil/NF.h": b"", "evil/nf.h": b""}
    for content in (wheel(rows=old), wheel(twins)):
        await inspect(FILENAME, content, "import")
        with pytest.raises(errors.InvalidUpload):
            await inspect(FILENAME, content)


async def test_import_takes_zip_sdists(inspect: Inspect) -> None:
    """A zipped sdist passes import."""
    archive = Zip()
    archive.add(f"{TOP}/", method=0, attributes=0o40755 << 16)
    archive.add(f"{TOP}/PKG-INFO", INFO)
    archive.add(f"{TOP}/pyproject.toml", b"")
    found = await inspect("evil-1.0.zip", archive.finish(), "import")
    assert (found.metadata, found.root, found.has_pyproject) == (INFO, TOP, True)


async def test_cnt_6_import_takes_links_that_stay_inside(inspect: Inspect) -> None:
    """Symbolic and hard links within the top directory pass import (PEP 721)."""
    links = (
        header(f"{TOP}/a", kind=b"2", link=b"evil.py"),
        header(f"{TOP}/b/c/d", kind=b"2", link=b"../../evil.py"),
        header(f"{TOP}/e", kind=b"1", link=f"{TOP}/evil.py".encode()),
    )
    assert (await inspect("evil-1.0.tar.gz", zipped(*SDIST, *links), "import")).members == 6


async def test_import_takes_tars_of_the_current_directory(inspect: Inspect) -> None:
    """Names that begin with ``./`` and repeated directories pass import."""
    content = zipped(
        header("./", kind=b"5"),
        header(f"./{TOP}/", kind=b"5"),
        header(f"./{TOP}", kind=b"5"),
        file(f"./{TOP}/PKG-INFO", INFO),
    )
    assert (await inspect("evil-1.0.tar.gz", content, "import")).metadata == INFO


async def test_long_names_pass(inspect: Inspect) -> None:
    """Long names pass as ustar prefix, GNU long name or pax path, global comments too."""
    name = f"{TOP}/{'d' * 90}/{'f' * 90}"
    content = zipped(
        pax(("comment", "0123"), kind=b"g"),
        *SDIST,
        file(f"{'f' * 90}1", prefix=f"{TOP}/{'d' * 90}".encode()),
        long_name(f"{name}2\x00".encode()),
        file(name, magic=GNU),
        pax(("path", f"{name}é"), ("mtime", "1.5"), ("uid", "99999999"), ("size", "3")),
        file(name, b"abc"),
    )
    assert (await inspect("evil-1.0.tar.gz", content)).members == 6


def test_record_lists_everything() -> None:
    """The rows that the tests are made with are those of the specification."""
    assert record({"a": b""}) == [
        "a,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0",
        f"{ROOT}/RECORD,,",
    ]
