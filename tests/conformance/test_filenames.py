"""What files may be called (standards: 4.1)."""

from __future__ import annotations

import re

import pytest

from tests.conformance.site import Site
from tests.factories import Made, make_sdist, make_wheel, metadata, record, tarred, zipped

WHEEL = make_wheel("nam", "1.0").content
SDIST = make_sdist("nam", "1.0").content


def _legacy_sdist(stem: str, core: bytes, *, as_zip: bool = False) -> bytes:
    members = {f"{stem}/PKG-INFO": core, f"{stem}/setup.py": b"from setuptools import setup\n"}
    return zipped(members) if as_zip else tarred(members)


@pytest.mark.parametrize(
    ("filename", "says"),
    [
        ("nam-1.0.whl", "Invalid filename"),
        ("nam-1.0-py3-none.whl", "Invalid filename"),
        ("nam-1.0-1-2-py3-none-any.whl", "Invalid filename"),
        ("nam-1.0-x1-py3-none-any.whl", "Invalid filename"),
        ("nam-one-py3-none-any.whl", "Invalid filename"),
        ("nam-1.0-py3-none-.whl", "Invalid filename"),
        ("nam-1.0-py3--any.whl", "Invalid filename"),
        ("nam--py3-none-any.whl", "Invalid filename|version"),
        ("nam-2.0-py3-none-any.whl", "Version in filename should be '1.0' not '2.0'"),
        ("nam-1.0.0-py3-none-any.whl", "."),
        ("nam-01.0-py3-none-any.whl", "Version in filename should be '1.0' not '01.0'"),
        ("Nam-1.0-py3-none-any.whl", "Start filename for 'nam' with 'nam'"),
        ("other-1.0-py3-none-any.whl", "Start filename for 'nam' with 'nam'"),
        ("nam-1.0-py3-none-any.zip", "Invalid file extension"),
        ("nam-1.0-py3-none-any.WHL", "Invalid file extension"),
        ("nam-1.0-py3-none-sparc.whl", "unsupported platform tag 'sparc'"),
        ("nam-1.0-py3-none-any-label.whl", "variant|parts"),
    ],
)  # fmt: skip
def test_nam_1_nam_2_nam_5_nam_6_nam_13_wheels_refused(
    site: Site, filename: str, says: str
) -> None:
    """Strict takes wheels under the one name that they have, and says what is wrong."""
    made = Made(filename, WHEEL)
    message = site.refuse(made, "nam", fields={"pyversion": "py3", "filetype": "bdist_wheel"})
    assert re.search(says, message)


@pytest.mark.parametrize(
    "extension",
    [".tar.bz2", ".tgz", ".tar.xz", ".tar.Z", ".tar", ".egg", ".exe", ".msi", ".rpm", ".deb",
     ".dmg", ".zip", ".TAR.GZ", ".tar.gz.asc", ""],
)  # fmt: skip
def test_nam_4_other_extensions(site: Site, importing: Site, extension: str) -> None:
    """Of sdists only .tar.gz is taken, in import .zip too."""
    made = Made(f"nam-1.0{extension}", SDIST)
    assert "Invalid file extension" in site.refuse(made, "nam", fields={"filetype": "sdist"})
    if extension != ".zip":
        message = importing.refuse(made, "nam", fields={"filetype": "sdist"})
        assert "Invalid file extension" in message


@pytest.mark.parametrize("filetype", ["bdist_egg", "bdist_wininst", "bdist_rpm", "SDIST", "", "x"])
def test_nam_4_other_types(site: Site, importing: Site, filetype: str) -> None:
    """Only wheels and sdists are file types."""
    made = make_sdist("nam", "1.0")
    for one in (site, importing):
        assert one.refuse(made, "nam", fields={"filetype": filetype}) == "Use a known file type."


@pytest.mark.parametrize(
    ("filename", "says"),
    [
        ("nam-2.0.tar.gz", "Version in filename should be '1.0' not '2.0'"),
        ("nam-1.0.0.0-1.tar.gz", "."),
        ("Nam-1.0.tar.gz", "Start filename for 'nam' with 'nam'"),
        ("nam_-1.0.tar.gz", "Start filename for 'nam' with 'nam'"),
        ("nam-01.0.tar.gz", "Filename 'nam-01.0.tar.gz' is invalid, should be 'nam-1.0.tar.gz'"),
        ("nam-1.0-py3.tar.gz", "."),
        ("nam.tar.gz", "."),
    ],
)
def test_nam_3_sdists_refused(site: Site, filename: str, says: str) -> None:
    """Strict takes sdists under the one name that they have (PEP 625)."""
    fields = {"pyversion": "source", "filetype": "sdist"}
    assert re.search(says, site.refuse(Made(filename, SDIST), "nam", fields=fields))


@pytest.mark.parametrize(
    ("project", "version"),
    [("zope.interface", "5.0"), ("Flask-Cors", "1.0"), ("a--b", "2!1.0.post1.dev2+local.7")],
)
def test_nam_2_nam_3_normal_names(site: Site, project: str, version: str) -> None:
    """Names with separators and versions with all parts are taken in their normal form."""
    for made in (make_wheel(project, version), make_sdist(project, version)):
        site.publish(made, project, version)
        name = re.sub(r"[-_.]+", "-", project).lower()
        assert site.file(name, made.filename)


IMPORTED = {
    "capitals": ("Nam.Capitals", "1.0", "Nam.Capitals-1.0-py2.py3-none-any.whl", "2.0"),
    "hyphen": ("nam-hyphen", "1.0", "nam_hyphen-1.0-py2.py3-none-any.whl", "2.0"),
    "dots": ("nam.dots", "1.0", "nam.dots-1.0-py2.py3-none-any.whl", "1.2"),
    "version": ("nam-version", "1.0-1", "nam_version-1.0_1-py3-none-any.whl", "2.1"),
}


@pytest.mark.parametrize("case", IMPORTED)
def test_nam_2_import_takes_old_wheels(site: Site, importing: Site, case: str) -> None:
    """Wheels as older tools named them pass import; strict says what it wants instead."""
    project, version, filename, core_version = IMPORTED[case]
    stem = "-".join(filename.split("-")[:2])
    root = f"{stem}.dist-info"
    core = metadata(project, version, metadata_version=core_version)
    made = Made(filename, _wheel(root, core))
    fields = {"metadata_version": core_version, "pyversion": "py2.py3"}
    importing.publish(made, project, version, fields=fields)
    name = re.sub(r"[-_.]+", "-", project).lower()
    url = importing.location(name, filename)
    assert importing.get(url).body == made.content
    assert importing.get(f"{url}.metadata").body == core
    message = site.refuse(made, project, version, fields=fields)
    assert re.search("Start filename|Metadata-Version|Version in filename|version", message)


def _wheel(root: str, core: bytes) -> bytes:
    members = {
        "nam.py": b"",
        f"{root}/METADATA": core,
        f"{root}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bdist_wheel (0.26.0)\n"
        b"Root-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n",
    }
    members[f"{root}/RECORD"] = record(members, f"{root}/RECORD")
    return zipped(members)


OLD_SDISTS = {
    "zip": ("nam-zip", "1.0", "nam-zip-1.0.zip", "1.1"),
    "hyphens": ("nam-some-hyphens", "1.0", "nam-some-hyphens-1.0.tar.gz", "1.1"),
    "capitals": ("NamCapital", "1.0b1", "NamCapital-1.0b1.tar.gz", "1.0"),
    "spelling": ("nam-spelled", "1.0.0-beta.1", "nam-spelled-1.0.0-beta.1.tar.gz", "1.2"),
    "digits": ("nam-2-3", "4.0", "nam-2-3-4.0.tar.gz", "2.0"),
}


@pytest.mark.parametrize("case", OLD_SDISTS)
def test_nam_3_import_takes_old_sdists(site: Site, importing: Site, case: str) -> None:
    """Sdists as older tools named them pass import; strict refuses them with a reason."""
    project, version, filename, core_version = OLD_SDISTS[case]
    stem = re.sub(r"\.zip\Z|\.tar\.gz\Z", "", filename)
    core = metadata(project, version, metadata_version=core_version)
    made = Made(filename, _legacy_sdist(stem, core, as_zip=filename.endswith(".zip")))
    fields = {"metadata_version": core_version, "pyversion": "source", "filetype": "sdist"}
    importing.publish(made, project, version, fields=fields)
    name = re.sub(r"[-_.]+", "-", project).lower()
    assert importing.get(importing.location(name, filename)).body == made.content
    message = site.refuse(made, project, version, fields=fields)
    assert re.search("Start filename|Invalid file extension|invalid, should be|Version", message)


@pytest.mark.parametrize(
    "tag",
    ["py3-none-win32", "py3-none-win_amd64", "py3-none-win_arm64", "cp310-cp310-manylinux1_x86_64",
     "cp310-cp310-manylinux2010_i686", "cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64",
     "cp310-abi3-musllinux_1_2_x86_64", "cp310-abi3-macosx_11_0_arm64", "py3-none-linux_armv7l",
     "cp310-abi3-macosx_10_9_universal2", "py3-none-ios_13_0_arm64_iphoneos",
     "py3-none-android_21_arm64_v8a", "cp313-cp313-pyemscripten_2025_0_wasm32",
     "py3-none-linux_x86_64", "py2.py3-none-any"],
)  # fmt: skip
def test_nam_6_known_platforms(site: Site, tag: str) -> None:
    """Platforms that installers know are taken, ``linux_x86_64`` too."""
    name = re.sub("[^a-z0-9]+", "-", f"nam-6-{tag}")
    site.publish(make_wheel(name, tag=tag), name)


@pytest.mark.parametrize("tag", ["cp314-cp314t", "cp315-abi3t", "pp311-pypy311_pp73",
                                 "graalpy311-graalpy242_311_native", "zz99-whatever"])  # fmt: skip
def test_nam_7_any_interpreter(site: Site, tag: str) -> None:
    """Interpreters and ABIs that nobody has heard of are taken."""
    name = re.sub("[^a-z0-9]+", "-", f"nam-7-{tag}")
    site.publish(make_wheel(name, tag=f"{tag}-manylinux_2_28_x86_64"), name)


def test_nam_8_local_versions(site: Site) -> None:
    """A local version is a version like others here."""
    site.release("nam-8", "1.0+cu118.abc")
    assert site.detail("nam-8")["versions"] == ["1.0+cu118.abc"]


def test_nam_9_length(site: Site) -> None:
    """The longest filename is taken with its metadata, a longer one is refused."""
    name = "n" * 170
    made = make_wheel(name, "1.0")
    assert len(made.filename) < 200
    site.publish(made, name)
    assert site.get(f"{site.location(name)}.metadata").status == 200
    longer = make_wheel("n" * 190, "1.0")
    assert "longer than 200" in site.refuse(longer, "n" * 190)


def test_nam_11_one_sdist_per_release(site: Site) -> None:
    """A second sdist of a release, under another spelling of its version, is not taken twice."""
    site.publish(make_sdist("nam-11", "1.0"), "nam-11", "1.0")
    answer = site.refuse(make_sdist("nam-11", "1.0.0"), "nam-11", "1.0.0")
    assert answer == "Only one sdist may be uploaded per release."


def test_nam_12_build_numbers(site: Site) -> None:
    """Wheels that differ in their build number alone are two files."""
    for build in (None, "1", "2local"):
        site.publish(make_wheel("nam-12", build=build), "nam-12")
    assert len(site.detail("nam-12")["files"]) == 3
