"""The filenames of wheels and sdists, in both profiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName

from app import errors, names
from app.models import Kind
from app.upload.filenames import Named, check_filename, check_version
from app.upload.profile import Profile


def check(filename: str, profile: Profile = "strict", project: str = "flask-cors") -> Named:
    """Check a filename as a client would send it, the kind told by the extension."""
    kind = Kind.WHEEL if filename.endswith(".whl") else Kind.SDIST
    return check_filename(filename, project=NormalizedName(project), kind=kind, profile=profile)


@pytest.mark.parametrize(
    ("filename", "version", "python_version"),
    [
        ("flask_cors-1.0-py3-none-any.whl", "1.0", "py3"),
        ("flask_cors-1.0-py2.py3-none-any.whl", "1.0", "py2.py3"),
        ("flask_cors-1!1.0.post1.dev2+local.1-py3-none-any.whl", "1!1.0.post1.dev2+local.1", "py3"),
        ("flask_cors-1.0-1-py3-none-any.whl", "1.0", "py3"),
        ("flask_cors-1.0-2abc-cp311-cp311-win_amd64.whl", "1.0", "cp311"),
        ("flask_cors-1.0.tar.gz", "1.0", "source"),
        ("flask_cors-1.0+cu118.tar.gz", "1.0+cu118", "source"),
    ],
)
@pytest.mark.parametrize("profile", ["strict", "import"])
def test_nam_1_filenames(
    filename: str, version: str, python_version: str, profile: Profile
) -> None:
    """What current tools write passes in both profiles, local versions too (NAM-8)."""
    assert check(filename, profile) == Named(version=version, python_version=python_version)


@pytest.mark.parametrize(
    "filename",
    [
        "flask_cors-1.0-py3-none.whl",
        "flask_cors-1.0.whl",
        ".whl",
        "flask_cors-1.0-py3-none-any-extra-more-parts.whl",
        "flask_cors-one-py3-none-any.whl",
        "flask_cors--py3-none-any.whl",
        "-1.0-py3-none-any.whl",
        "flask_cors-1.0--py3-none-any.whl",
        "flask_cors-1.0-1+x-py3-none-any.whl",
        "flask_cors-1.0-py3--any.whl",
        "flask_cors-1.0-py3.-none-any.whl",
        "flask_cors-1.0-py3-none-any!.whl",
        "flask_cors-1.0-py3-none-.whl",
        f"flask_cors-1.0-{'.'.join(['p'] * 30)}-{'.'.join(['n'] * 30)}-any.whl",
    ],
)
@pytest.mark.parametrize("profile", ["strict", "import"])
def test_nam_1_malformed_wheels(filename: str, profile: Profile) -> None:
    """A wheel has five or six parts, a version, a build with a digit first, and tags."""
    with pytest.raises(errors.InvalidUpload, match="filename"):
        check(filename, profile)


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("Flask_Cors-1.0-py3-none-any.whl", "flask-cors"),
        ("flask.cors-1.0-py3-none-any.whl", "flask-cors"),
        ("flask__cors-1.0-py3-none-any.whl", "flask-cors"),
        ("zope.interface-5.4.0-cp39-cp39-win_amd64.whl", "zope-interface"),
    ],
)
def test_nam_2_spellings_of_wheels(filename: str, project: str) -> None:
    """In import the name may be spelled in any way, in strict in one only."""
    assert check(filename, "import", project)
    with pytest.raises(errors.InvalidUpload, match=rf"\AStart filename for '{project}' with '"):
        check(filename, "strict", project)


@pytest.mark.parametrize(
    "filename",
    [
        "bobsecret-9.9-py3-none-any.whl",
        "bobsecret-9.9.tar.gz",
        "flask_cors_extra-1.0.tar.gz",
        "flask-1.0.tar.gz",
        "flask_cors_.tar.gz",
        "_flask_cors-1.0.tar.gz",
    ],
)
@pytest.mark.parametrize("profile", ["strict", "import"])
def test_nam_5_filename_of_another_project(filename: str, profile: Profile) -> None:
    """Nobody uploads a filename of another project under their own."""
    with pytest.raises(errors.InvalidUpload, match="filename"):
        check(filename, profile)


@pytest.mark.parametrize(
    ("filename", "version"),
    [
        ("flask-cors-1.0.tar.gz", "1.0"),
        ("Flask-Cors-1.0.tar.gz", "1.0"),
        ("flask.cors-1.0.tar.gz", "1.0"),
        ("flask_cors-1.0.zip", "1.0"),
        ("Flask-Cors-1.0-beta1.zip", "1.0b1"),
        ("flask-cors-1.0-1.tar.gz", "1.0.post1"),
        ("flask_cors-1.0RC1.tar.gz", "1.0rc1"),
        ("flask_cors-01.0.tar.gz", "1.0"),
    ],
)
def test_nam_3_spellings_of_sdists(filename: str, version: str) -> None:
    """Old sdists, with hyphens, capitals and versions of their own kind, pass in import only."""
    assert check(filename, "import").version == version
    with pytest.raises(errors.InvalidUpload, match=r"Start filename|should be|extension"):
        check(filename, "strict")


def test_nam_3_says_what_the_filename_should_be() -> None:
    """The refusal of a version that is not normal gives the right filename."""
    with pytest.raises(
        errors.InvalidUpload,
        match=r"\AFilename 'flask_cors-1\.0RC1\.tar\.gz' is invalid, "
        r"should be 'flask_cors-1\.0rc1\.tar\.gz'\.\Z",
    ):
        check("flask_cors-1.0RC1.tar.gz")


@pytest.mark.parametrize(
    ("spelled", "normal"), [("1.0RC1", "1.0rc1"), ("v1.0", "1.0"), ("1.0_1", "1.0.post1")]
)
def test_versions_of_wheels(spelled: str, normal: str) -> None:
    """In strict a wheel writes its version in normal form, in import it may be an older one."""
    filename = f"flask_cors-{spelled}-py3-none-any.whl"
    with pytest.raises(errors.InvalidUpload, match=r"Version in filename should be|not a version"):
        check(filename)
    assert check(filename, "import").version == normal


@pytest.mark.parametrize(
    "extension",
    [
        "tar.bz2",
        "tgz",
        "tar.xz",
        "tar.Z",
        "tar",
        "egg",
        "exe",
        "msi",
        "rpm",
        "deb",
        "dmg",
        "TAR.GZ",
        "WHL",
        "tar.gz.asc",
        "whl.metadata",
    ],
)
@pytest.mark.parametrize("profile", ["strict", "import"])
def test_nam_4_other_extensions(extension: str, profile: Profile) -> None:
    """Only wheels and sdists have a place here."""
    with pytest.raises(errors.InvalidUpload, match=r"\AInvalid file extension: "):
        check(f"flask_cors-1.0.{extension}", profile)


@pytest.mark.parametrize("profile", ["strict", "import"])
@pytest.mark.parametrize(
    ("filename", "kind"),
    [
        ("flask_cors-1.0.tar.gz", Kind.WHEEL),
        ("flask_cors-1.0-py3-none-any.whl", Kind.SDIST),
        ("flask_cors-1.0.zip", Kind.WHEEL),
    ],
)
def test_nam_4_the_filetype_agrees(filename: str, kind: Kind, profile: Profile) -> None:
    """The extension is that of the filetype."""
    with pytest.raises(errors.InvalidUpload, match=r"\AInvalid file extension: "):
        check_filename(filename, project=NormalizedName("flask-cors"), kind=kind, profile=profile)


@pytest.mark.parametrize(
    "platform",
    [
        "any",
        "win32",
        "win_amd64",
        "win_arm64",
        "manylinux1_x86_64",
        "manylinux2010_i686",
        "manylinux2014_aarch64",
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "musllinux_1_2_aarch64",
        "macosx_11_0_arm64",
        "macosx_10_9_universal2",
        "ios_13_0_arm64_iphoneos",
        "android_21_arm64_v8a",
        "pyemscripten_2026_0_wasm32",
        "linux_armv6l",
        "linux_armv7l",
        "linux_x86_64",
        "linux_aarch64",
    ],
)
def test_nam_6_known_platforms(platform: str) -> None:
    """Platforms that installers know pass, bare Linux ones included."""
    assert check(f"flask_cors-1.0-cp311-cp311-{platform}.whl")


@pytest.mark.parametrize(
    "platform",
    ["win", "linux", "manylinux_x86_64", "macosx_arm64", "any.solaris", "ANY", "manylinux3_x86_64"],
)
def test_nam_6_unknown_platforms(platform: str) -> None:
    """Platforms that no installer knows are refused in strict, and pass in import."""
    filename = f"flask_cors-1.0-cp311-cp311-{platform}.whl"
    with pytest.raises(errors.InvalidUpload, match=r"\ABinary wheel '.*' has an unsupported"):
        check(filename)
    assert check(filename, "import")


@pytest.mark.parametrize(
    "tags", ["cp314-cp314t", "cp32-abi3", "cp315-abi3t", "pp311-pypy311_pp73", "graalpy312-native"]
)
def test_nam_7_any_interpreter(tags: str) -> None:
    """Which interpreters and ABIs there are is not for an index to know."""
    assert check(f"flask_cors-1.0-{tags}-win_amd64.whl")


@pytest.mark.parametrize("filename", ["a/b.whl", "a\\b.whl", "a\x00.whl", "a\x7f.whl", "x" * 201])
@pytest.mark.parametrize("profile", ["strict", "import"])
def test_nam_9_characters(filename: str, profile: Profile) -> None:
    """No path, no control character, no name that is too long for a file system."""
    with pytest.raises(errors.InvalidUpload, match=r"\AInvalid filename: it "):
        check(filename, profile)


@pytest.mark.parametrize(
    ("one", "other"), [("1.0", "1.0.0"), ("1.0", "1"), ("1.0rc1", "1.0.rc1"), ("1.0+a", "1.0+a")]
)
def test_nam_10_equal_versions(one: str, other: str) -> None:
    """PEP 440 decides whether two versions are one."""
    check_version(one, other)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1.1"), ("1.0", "1.0+a"), ("1.0", "1.0.post1")])
def test_nam_10_different_versions(one: str, other: str) -> None:
    """A filename of another version is refused."""
    with pytest.raises(errors.InvalidUpload, match=r"\AVersion in filename should be '"):
        check_version(one, other)


@pytest.mark.parametrize(
    "filename",
    [
        "flask_cors-1.0-py3-none-any-x86_64_v3.whl",
        "flask_cors-1.0-1-py3-none-any-x86_64_v3.whl",
        "flask_cors-1.0-abc-py3-none-any.whl",
    ],
)
@pytest.mark.parametrize("profile", ["strict", "import"])
def test_nam_13_variants(filename: str, profile: Profile) -> None:
    """Wheels with a variant label are refused while PEP 825 is a draft."""
    with pytest.raises(errors.InvalidUpload, match="variant"):
        check(filename, profile)


@given(filename=st.text(max_size=60) | st.from_regex(r"\A[a-z0-9._+!-]{1,40}(\.whl|\.tar\.gz)\Z"))
def test_whatever_passes_is_plain(filename: str) -> None:
    """Whatever the filename is, it is refused, or plain ASCII with this project's name."""
    for profile in ("strict", "import"):
        for kind in Kind:
            try:
                named = check_filename(
                    filename, project=NormalizedName("a"), kind=kind, profile=profile
                )
            except errors.InvalidUpload:
                continue
            assert names.is_filename(filename)
            assert filename[0] in "aA"
            assert names.parse_version(named.version) is not None
