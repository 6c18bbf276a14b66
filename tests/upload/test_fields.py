"""What the form claims, field by field."""

from __future__ import annotations

import hashlib

import pytest

from app import errors
from app.models import Hashes, Kind
from app.upload import fields

CONTENT = b"the bytes"
HASHES = Hashes(
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    blake2b_256=hashlib.blake2b(CONTENT, digest_size=32).hexdigest(),
    md5=hashlib.md5(CONTENT).hexdigest(),
)
CLAIM = {
    ":action": "file_upload",
    "protocol_version": "1",
    "filetype": "bdist_wheel",
    "pyversion": "py3",
    "name": "demo",
    "version": "1.0",
}


def form(**changes: str) -> dict[str, tuple[str, ...]]:
    """The claim, changed; ``action`` stands for ``:action``."""
    changed = {(":action" if key == "action" else key): text for key, text in changes.items()}
    return {name: (text,) for name, text in (CLAIM | changed).items()}


def test_a_claim() -> None:
    """A form of the usual fields is read into a claim."""
    claim = fields.read(form(comment="built by hand"))
    assert (claim.project, claim.version, claim.kind) == ("demo", "1.0", Kind.WHEEL)
    assert claim.comment == "built by hand"


@pytest.mark.parametrize("action", ["submit", "submit_pkg_info", "doc_upload"])
def test_upl_19_former_actions_are_gone(action: str) -> None:
    """What indexes took in former times has an error of its own."""
    with pytest.raises(errors.ActionGone, match=action):
        fields.read(form(action=action))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": "remove"}, "Unknown :action"),
        ({"action": ""}, "Unknown :action"),
        ({"protocol_version": "2"}, r"\AUnknown protocol version\.\Z"),
        ({"filetype": "bdist_egg"}, r"\AUse a known file type\.\Z"),
        ({"filetype": "bdist_wininst"}, r"\AUse a known file type\.\Z"),
        ({"filetype": ""}, r"\AUse a known file type\.\Z"),
        (
            {"pyversion": ""},
            r"\APython version is required for binary distribution uploads\.\Z",
        ),
        (
            {"filetype": "sdist", "pyversion": "3.11"},
            r"\AUse 'source' as Python version for an sdist\.\Z",
        ),
        ({"name": ""}, r"\Aname: "),
        ({"name": "UNKNOWN"}, r"\Aname: "),
        ({"name": "../demo"}, r"\Aname: "),
        ({"name": "\u212aelvin"}, r"\Aname: "),
        ({"name": "demo\x00"}, r"\Aname: "),
        ({"version": ""}, r"\Aversion: "),
        ({"version": "../../../escape"}, r"\Aversion: "),
        ({"version": "one"}, r"\Aversion: "),
        ({"version": "9" * 10_000}, r"\Aversion: "),
        ({"version": "\u0661.0"}, r"\Aversion: "),
        ({"comment": "x" * 2_049}, r"\Acomment: "),
        ({"comment": "\x1b[31m"}, r"\Acomment: "),
    ],
)
def test_wrong_claims(changes: dict[str, str], message: str) -> None:
    """Each wrong field is refused by a message that names it."""
    with pytest.raises(errors.InvalidUpload, match=message):
        fields.read(form(**changes))


def test_a_missing_protocol_version_is_one() -> None:
    """Clients may leave the protocol version out."""
    assert fields.read({k: v for k, v in form().items() if k != "protocol_version"})


@pytest.mark.parametrize("python_version", ["source", "", "UNKNOWN"])
def test_an_sdist_needs_no_python_version(python_version: str) -> None:
    """An sdist says source, or nothing, as flit does."""
    assert fields.read(form(filetype="sdist", pyversion=python_version)).kind is Kind.SDIST


@pytest.mark.parametrize("text", ["", "  ", "UNKNOWN", " UNKNOWN "])
def test_upl_6_empty_and_unknown_are_absent(text: str) -> None:
    """An empty field, and one that says UNKNOWN, is as if it were not there."""
    assert fields.value({"comment": (text,)}, "comment") == ""
    assert fields.read(form(comment=text, protocol_version=text)).comment == ""


def test_upl_6_unknown_fields_are_ignored() -> None:
    """Fields that nobody knows do no harm."""
    assert fields.read(form(**{"x-future": "1", "attestations": "[]"}))


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("license_file", "license_files"),
        ("import_name", "import_names"),
        ("import_namespace", "import_namespaces"),
        ("platform", "platforms"),
        ("supported_platform", "supported_platforms"),
        ("classifier", "classifiers"),
        ("project_url", "project_urls"),
        ("provides_extra", "provides_extras"),
    ],
)
def test_upl_7_either_spelling(singular: str, plural: str) -> None:
    """The singular and the plural of a field pass alike, since the file has the truth."""
    assert fields.read(form(**{singular: "x"})) == fields.read(form(**{plural: "x"}))


@pytest.mark.parametrize(
    ("name", "project"),
    [("lab.Demo-pkg", "lab-demo-pkg"), ("LAB_demo.PKG", "lab-demo-pkg"), ("Demo", "demo")],
)
def test_upl_8_names_are_normalised(name: str, project: str) -> None:
    """However a client spells the name, it is the same project."""
    assert fields.read(form(name=name)).project == project


@pytest.mark.parametrize(
    ("version", "normal"),
    [("1.0.0", "1.0.0"), ("v1.0-RC1", "1.0rc1"), ("1.0+Local.1", "1.0+local.1"), ("1!2", "1!2")],
)
def test_upl_8_versions_are_normalised(version: str, normal: str) -> None:
    """Versions are read as PEP 440 has them; a local one is fine (NAM-8)."""
    assert fields.read(form(version=version)).version == normal


@pytest.mark.parametrize(
    "digests",
    [
        {"sha256_digest": HASHES.sha256},
        {"sha256_digest": HASHES.sha256.upper()},
        {"blake2_256_digest": HASHES.blake2b_256},
        {"md5_digest": HASHES.md5},
        {
            "sha256_digest": HASHES.sha256,
            "blake2_256_digest": HASHES.blake2b_256,
            "md5_digest": HASHES.md5,
        },
        {"sha256_digest": HASHES.sha256, "md5_digest": ""},
    ],
)
def test_upl_5_right_digests(digests: dict[str, str]) -> None:
    """One right digest of any kind is enough, in either case."""
    fields.check_digests({name: (text,) for name, text in digests.items()}, HASHES)


@pytest.mark.parametrize(
    ("digests", "message"),
    [
        ({}, r"\AInclude at least one message digest\.\Z"),
        ({"sha256_digest": ""}, r"\AInclude at least one message digest\.\Z"),
        ({"sha256_digest": "ab"}, "Use a valid, hex-encoded, SHA256 message digest"),
        ({"sha256_digest": "g" * 64}, "Use a valid, hex-encoded, SHA256 message digest"),
        ({"sha256_digest": f"{HASHES.sha256}\n0"}, "Use a valid"),
        ({"md5_digest": "q1OQO0HLyDIpKmBxDX1k4Q"}, "Use a valid, hex-encoded, MD5"),
        ({"blake2_256_digest": "0" * 63}, "Use a valid, hex-encoded, BLAKE2b-256"),
        ({"sha256_digest": "0" * 64}, "does not match a digest calculated"),
        ({"blake2_256_digest": "0" * 64}, "does not match a digest calculated"),
        ({"md5_digest": "0" * 32}, "does not match a digest calculated"),
        (
            {"sha256_digest": HASHES.sha256, "md5_digest": "0" * 32},
            "does not match a digest calculated from the uploaded file: md5_digest",
        ),
    ],
)
def test_upl_5_wrong_digests(digests: dict[str, str], message: str) -> None:
    """No digest, a malformed one, and one wrong among right ones are refused."""
    with pytest.raises(errors.InvalidUpload, match=message):
        fields.check_digests({name: (text,) for name, text in digests.items()}, HASHES)
