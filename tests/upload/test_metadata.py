"""Core metadata: how it is read, and where strict and import part."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.upload import metadata
from app.upload.jsonform import CORE_LIMIT, core_fields
from app.upload.profile import Profile

PROFILES: tuple[Profile, ...] = ("strict", "import")
HEAD = "Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n"
MEGABYTE = 2**20


def parse(text: str | bytes, profile: Profile = "strict") -> metadata.CoreMetadata:
    """Parse text, or bytes where the encoding matters."""
    return metadata.parse(text if isinstance(text, bytes) else text.encode(), profile)


def test_plain() -> None:
    """Name, version and fields are read; the description is not kept."""
    found = parse(HEAD + "Summary: a demo\nClassifier: Private :: X\n\n# Demo\n\nName: evil\n")
    assert (found.name, found.project, found.version) == ("demo", "demo", "1.0")
    assert found.metadata_version == (2, 4)
    assert found.raw.get("summary") == "a demo"
    assert "description" not in found.raw


def test_spelling_of_names_and_versions() -> None:
    """The name stays as its author spells it, the version is put in normal form."""
    found = parse("Metadata-Version: 2.1\nName: Zope.Interface\nVersion: 1.0-RC1\n")
    assert (found.name, found.project, found.version) == (
        "Zope.Interface",
        "zope-interface",
        "1.0rc1",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_endings(end: str) -> None:
    """Either line ending will do."""
    text = (HEAD + "Summary: x\n\nText\n").replace("\n", end)
    assert parse(text).raw.get("summary") == "x"


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"])
@pytest.mark.parametrize("profile", PROFILES)
def test_cnt_14_metadata_versions(version: str, profile: Profile) -> None:
    """Every version that was ever in force is read."""
    text = f"Metadata-Version: {version}\nName: demo\nVersion: 1\n"
    assert ".".join(map(str, parse(text, profile).metadata_version)) == version


def test_cnt_14_metadata_version_2_0() -> None:
    """2.0 was never in force: strict refuses it, import reads what those years wrote."""
    text = "Metadata-Version: 2.0\nName: idna\nVersion: 2.6\n"
    with pytest.raises(errors.InvalidUpload, match=r"\AMetadata-Version: '2\.0'"):
        parse(text)
    assert parse(text, "import").metadata_version == (2, 0)


@pytest.mark.parametrize("version", ["3.0", "2.7", "2", "02.1", "", "2.10", "\u0662.1"])
@pytest.mark.parametrize("profile", PROFILES)
def test_cnt_14_other_metadata_versions(version: str, profile: Profile) -> None:
    """What does not exist yet is refused, and so is no version at all."""
    with pytest.raises(errors.InvalidUpload, match=r"\AMetadata-Version: "):
        parse(f"Metadata-Version: {version}\nName: demo\nVersion: 1\n", profile)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Metadata-Version"),
        ("\n" + HEAD, "Metadata-Version"),
        ("Metadata-Version: 2.4\nVersion: 1.0\n", r"\AName: "),
        ("Metadata-Version: 2.4\nName: demo\n", r"\AVersion: "),
        (HEAD.replace("demo", "UNKNOWN"), r"\AName: "),
        (HEAD.replace("demo", "../demo"), r"\AName: "),
        (HEAD.replace("demo", "\u212aelvin"), r"\AName: "),
        (HEAD.replace("1.0", "one"), r"\AVersion: "),
        (HEAD.replace("1.0", "9" * 10_000), r"\AVersion: "),
        (HEAD + "Name: evil\n", "more than one Name"),
        (HEAD + "NAME: evil\n", "more than one Name"),
        (HEAD + "Version: 2.0\n", "more than one Version"),
        (HEAD + "Metadata-Version: 2.1\n", "more than one Metadata-Version"),
        (HEAD + "Requires-Python: >=3\nRequires-Python: >=2\n", "more than one Requires-Python"),
        (HEAD + "Summary: a\rName: evil\n", "carriage return"),
        (HEAD + "Summary: a\0\n", "NUL"),
        (HEAD + "\na\0b\n", "NUL"),
        (HEAD + "Content-Transfer-Encoding: base64\n\nTmFtZQ==\n", "content-transfer-encoding"),
        (HEAD + "MIME-Version: 1.0\nContent-Type: multipart/mixed\n", "mime-version"),
        (HEAD + "License: " + "x" * (256 * 1024 + 1) + "\n", "longer than"),
        (HEAD + "".join(f"X-{number}: x\n" for number in range(129)), "128 names"),
        (HEAD + "Classifier: x\n" * 20_001, "20,000 fields"),
        (HEAD + "Description: x\n" + " x\n" * 200_001, "200,000 lines"),
        (HEAD + "\n" + "x" * (8 * MEGABYTE), "bytes"),
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
def test_what_nobody_may_send(text: str, reason: str, profile: Profile) -> None:
    """Metadata that parsers read in two ways, or for ever, is refused in both profiles."""
    with pytest.raises(errors.InvalidUpload, match=reason):
        parse(text, profile)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD.encode() + b"Author: \xe9\n", "UTF-8"),
        (HEAD.encode() + b"\n\xe9\n", "UTF-8"),
        (HEAD.encode() + b"Author: \xed\xa0\x80\n", "UTF-8"),
        (b"\xff\xfe" + HEAD.encode("utf-16-le"), "NUL"),
        (HEAD.encode() + b"Summary: a\x0bb\n", "control character"),
        (HEAD.encode() + "Summary: a\u2028Name: b\n".encode(), "control character"),
        (HEAD.encode() + "Summary: a\u0085b\n".encode(), "control character"),
        (HEAD.encode() + b"Summary: a\x1bb\n", "control character"),
        (HEAD.encode() + b"This is no field\n", "is not a field"),
        (HEAD.encode() + b"Name : evil\n", "is not a field"),
        (b"From nobody\n" + HEAD.encode(), "is not a field"),
        ("\ufeff".encode() + HEAD.encode(), "is not a field"),
        (b" folded\n" + HEAD.encode(), "is not a field"),
        (HEAD.encode() + b"Summary: a\nSummary: b\n", "more than one Summary"),
        (HEAD.encode() + b"License: a\nLicense: b\n", "more than one License"),
        (HEAD.encode() + b"Description: a\n\nb\n", "more than one description"),
        (HEAD.encode() + b"Description: a\nDescription: b\n", "more than one description"),
        (
            HEAD.encode() + b"Project-URL: a, https://a\nProject-URL: a, https://b\n",
            "same label",
        ),
    ],
)
def test_what_strict_refuses(text: bytes, reason: str) -> None:
    """Strict refuses what is malformed, even where everybody would read the same."""
    with pytest.raises(errors.InvalidUpload, match=reason):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        HEAD.encode() + b"Author: \xe9\n",
        HEAD.encode() + b"\n\xe9\n",
        HEAD.encode() + b"Summary: a\x1bb\n",
        HEAD.encode() + b"This is no field\n",
        HEAD.encode() + b"Summary: a\nSummary: b\n",
        HEAD.encode() + b"Description: a\n\nb\n",
        HEAD.encode() + b"Project-URL: a, https://a\nProject-URL: a, https://b\n",
    ],
)
def test_what_import_reads(text: bytes) -> None:
    """Import reads what older tools wrote, and keeps no control character of it."""
    found = parse(text, "import")
    assert found.name == "demo"
    assert all(str(value).isprintable() for value in found.raw.values())


def test_description_unknown_and_body() -> None:
    """Old tools wrote 'Description: UNKNOWN' beside a body; it is not a second description."""
    assert parse(HEAD + "Description: UNKNOWN\n\ntext\n")
    assert parse(HEAD + "Description: text\n\n\n")


def test_upl_6_unknown_in_metadata() -> None:
    """Empty and UNKNOWN values are absent, in lists too; an empty Import-Name says something."""
    found = parse(
        HEAD + "Summary: UNKNOWN\nAuthor: \nPlatform: UNKNOWN\nClassifier: A\n"
        "Classifier: UNKNOWN\nImport-Name:\n"
    )
    assert found.raw.get("classifiers") == ["A"]
    assert found.raw.get("import_names") == []
    assert not found.raw.keys() & {"summary", "author", "platforms"}


@pytest.mark.parametrize(
    ("version", "extra", "static"),
    [
        ("2.1", "", False),
        ("2.2", "", True),
        ("2.4", "", True),
        ("2.4", "Dynamic: Requires-Dist\n", False),
        ("2.4", "Dynamic:\n", False),
        ("2.4", "dynamic: license-file\n", False),
        ("2.6", "", True),
        ("2.6", "Dynamic: Summary\n", False),
        ("1.2", "", False),
    ],
)
def test_met_4_static_metadata(version: str, extra: str, static: bool) -> None:
    """Metadata is static from 2.2 on, and only where nothing at all is dynamic."""
    found = parse(f"Metadata-Version: {version}\nName: demo\nVersion: 1\n{extra}")
    assert found.is_static is static


def test_core_fields() -> None:
    """The JSON form has the singular names of PEP 566, lists as lists, and no description."""
    found = parse(
        HEAD + "Summary: s\nKeywords: a, b\nClassifier: C\nProject-URL: Home, https://x\n"
        "Requires-Dist: a\nRequires-Dist: b\nLicense-File: L\nImport-Name: demo\nPlatform: p\n"
        "Provides-Extra: e\nDynamic: Summary\n\ndescription\n"
    )
    assert core_fields(found) == {
        "metadata_version": "2.4",
        "name": "demo",
        "version": "1.0",
        "summary": "s",
        "keywords": ["a", "b"],
        "classifier": ["C"],
        "project_url": ["Home, https://x"],
        "requires_dist": ["a", "b"],
        "license_file": ["L"],
        "import_name": ["demo"],
        "platform": ["p"],
        "provides_extra": ["e"],
        "dynamic": ["Summary"],
    }


def test_core_fields_are_bounded() -> None:
    """Of too much the largest fields are left out, whole, and the small ones stay."""
    requirements = "".join(f"Requires-Dist: p{number}\n" for number in range(10_000))
    found = parse(HEAD + "License: " + "x" * 60_000 + "\nSummary: s\n" + requirements)
    core = core_fields(found)
    assert "requires_dist" not in core
    assert core["license"] == "x" * 60_000
    assert core["summary"] == "s"
    found = parse(HEAD + "License: " + "x" * CORE_LIMIT + "\n")
    assert core_fields(found).keys() == {"metadata_version", "name", "version"}


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "\n" + "x\n" * (4 * MEGABYTE - 200),
        HEAD + "".join(f"X{number % 120}: x\n" for number in range(19_000)),
        HEAD + "".join(f"a{number}: \n" for number in range(700_000)),
        HEAD + "Author: \u00e9" + "=?" * 120_000 + "\n",
        HEAD + "Keywords: x\n" + " \n" * 100_000,
    ],
)
def test_t06_reading_is_quick(text: str) -> None:
    """No metadata keeps a thread for long, whatever it is made of."""
    start = time.process_time()
    try:
        parse(text)
    except errors.InvalidUpload as error:
        assert len(str(error)) < 300  # noqa: PT017 (refused or read, both are fine)
    assert time.process_time() - start < 5


@given(
    text=st.lists(
        st.sampled_from(
            [
                *HEAD.splitlines(keepends=True),
                "Summary: x\n",
                " y\n",
                "\n",
                "\r\n",
                "\r",
                ":",
                "Description: z\n",
                "Dynamic: a\n",
                "\u2028",
            ]
        )
        | st.text(max_size=8),
        max_size=15,
    ).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, the outcome is a valid name and version, or a refusal."""
    for profile in PROFILES:
        try:
            found = metadata.parse(text.encode(errors="replace"), profile)
        except errors.InvalidUpload:
            continue
        assert (found.name, found.version) == ("demo", "1.0")
