"""Which file of which project an old key holds, decided by its names alone."""

from __future__ import annotations

import pytest

from app.index.adopting_names import LONGEST, Named, Unfit, check_key, identify, is_ours
from app.index.legacy import Facts
from app.models import Kind
from tests.pypicloud import old_sdist, wheel

ULID = "01JD0000000000000000000000"


def named(key: str, **facts: str) -> Named:
    """What a key holds."""
    return identify(key, Facts(**facts))


def refusal(key: str, **facts: str) -> str:
    """Why a key holds nothing that can be adopted."""
    with pytest.raises(Unfit) as raised:
        named(key, **facts)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("key", "project", "version"),
    [
        ("80e1/demo-alpha/demo_alpha-1.0-py3-none-any.whl", "demo-alpha", "1.0"),
        ("9a61/demo-beta/demo.beta-2.0rc1.tar.gz", "demo-beta", "2.0rc1"),
        ("demo-beta/demo.beta-2.0rc1.tar.gz", "demo-beta", "2.0rc1"),
        ("9a61/demo.beta-2.0rc1.tar.gz", "demo-beta", "2.0rc1"),
        ("packages-9a61/demo.beta-2.0rc1.tar.gz", "demo-beta", "2.0rc1"),
        ("a/b/80e1/demo-alpha/demo_alpha-1.0-py3-none-any.whl", "demo-alpha", "1.0"),
        ("demo-alpha/1.0/demo-alpha-1.0.zip", "demo-alpha", "1.0"),
        ("Demo_Alpha/1.0/Demo_Alpha-1.0.tar.gz", "demo-alpha", "1.0"),
        ("foo/1.0-dev-r123/foo-1.0-dev-r123.tar.gz", "foo", "1.0-dev-r123"),
        ("foo-2-bar/1.0/foo-2-bar-1.0.tar.gz", "foo-2-bar", "1.0"),
        ("foo/1.0-2/foo-1.0-2.tar.gz", "foo", "1.0.post2"),
    ],
)
def test_the_layouts(key: str, project: str, version: str) -> None:
    """Without recorded facts, the filename and the folder that it lies in are enough."""
    found = named(key)
    assert (found.project, found.version) == (project, version)
    assert found.kind is (Kind.WHEEL if key.endswith(".whl") else Kind.SDIST)


def test_recorded_facts_part_an_ambiguous_filename() -> None:
    """Where names and versions both have hyphens, what was recorded says where to cut."""
    filename = "pack-3-tools-1.0.tar.gz"
    assert named(f"x/{filename}", name="pack-3-tools", version="1.0").project == "pack-3-tools"
    assert named(f"x/{filename}", name="pack", version="3-tools-1.0").project == "pack"
    assert named("x/foo-latest.tar.gz", name="foo", version="latest").version == "latest"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("foo/1.0/foo-1.0-py2.7.egg", "egg"),
        ("foo/1.0/foo-1.0.win32.exe", "no longer take"),
        ("foo/1.0/foo-1.0.win32-py2.7.msi", "no longer take"),
        ("foo/1.0/foo-1.0-1.noarch.rpm", "no longer take"),
        ("foo/1.0/foo-1.0.tar.bz2", "no longer take"),
        ("foo/1.0/foo-1.0.tgz", "no longer take"),
        ("foo/1.0/foo-1.0.linux-x86_64.tar.gz", "bdist_dumb"),
        ("foo/1.0/foo-1.0.tar.gz.asc", "signature"),
        ("foo/1.0/foo-1.0.tar.gz.meta", "without a file"),
        ("foo/1.0/.foo-1.0.tar.gz.0a1b2c3d", "temporary"),
        ("foo/1.0/.metadata.0a1b2c3d", "temporary"),
        ("foo/1.0/x.sh", "not a distribution"),
        ("index.html", "not a distribution"),
        ("foo/1.0/foo.tar.gz", "hyphen"),
        ("foo/1.0/-1.0.tar.gz", "begins with a letter or digit"),
        ("foo/1.0/föö-1.0.tar.gz", "not ASCII"),
        ("foo/1.0/foo-1.0.whl", "parts"),
        ("foo/1.0/foo-1.0-x-py3-none-any.whl", "build number"),
        ("foo/1.0/_foo_-1.0-py3-none-any.whl", "letter or digit"),
        ("foo/1.0/flask-9.0-py3-none-any.whl", "not even its folder"),
        ("foo/1.0/flask-9.0.tar.gz", "not even its folder"),
        ("flask-9.0.tar.gz", "not even its folder"),
        ("beef/1/flask-9.0.tar.gz", "not even its folder"),
        ("foo/foo-latest.tar.gz", "no version"),
    ],
)
def test_what_is_left_alone(key: str, why: str) -> None:
    """Whatever the index does not take, and whatever its folder does not vouch for."""
    assert why in refusal(key)


def test_a_recorded_name_that_the_filename_contradicts() -> None:
    """Whoever might write to one project only could store any filename there."""
    assert "recorded as a file of 'django'" in refusal(
        "x/flask/flask-9.0.tar.gz", name="django", version="9.0"
    )
    assert "recorded as a file of 'django'" in refusal(
        "x/flask/flask-9.0-py3-none-any.whl", name="django", version="9.0"
    )
    assert "project name" in refusal("x/flask/flask-9.0.tar.gz", name="../flask")


def test_what_is_noted() -> None:
    """Versions before PEP 440, other recorded versions, capital letters."""
    (note,) = named("foo/foo-1.0-dev-r123.tar.gz").notes
    assert "PEP 440" in note
    (note,) = named("foo/foo-1.0.tar.gz", name="foo", version="2.0").notes
    assert "recorded as version '2.0'" in note
    for key in ("Foo/1.0/foo-1.0.tar.gz", "foo/1.0/FOO-1.0.tar.gz"):
        (note,) = named(key).notes
        assert "capital letters" in note
    assert named("foo/foo-1.0.tar.gz", name="foo", version="1.0.0").notes == ()


@pytest.mark.parametrize(
    "key",
    [
        f"blobs/demo/{ULID}/demo-1.0.tar.gz",
        f"blobs/demo/{ULID}/demo-1.0.tar.gz.metadata",
        "journal/demo/demo-1.0.tar.gz/0000000001.json",
        "journal/demo/@project/0000000001.json",
        f"pending/20240101T00/{ULID}.json",
        "serials/0000000000",
        "snapshots/demo.json",
        "leases/begin/0000000001.json",
        "leases/reindex/0000000001000001/0000000012.json",
        f"probes/{ULID}",
        f"downloads/2026-11-29/{ULID}.json",
        "downloads/2026-11-29/all.json",
        "adopted/80e1/demo/demo-1.0.tar.gz.metadata",
    ],
)
def test_our_own_keys(key: str) -> None:
    """What this index wrote is known by the whole shape of its key."""
    assert is_ours(key)


@pytest.mark.parametrize(
    "project",
    [
        *("blobs", "journal", "pending", "serials", "snapshots", "leases", "probes", "adopted"),
        "downloads",
    ],
)
def test_projects_called_like_our_folders(project: str) -> None:
    """A project of such a name lay there before us, and is no key of ours."""
    assert not is_ours(f"{project}/{project}-1.0.tar.gz")
    assert not is_ours(f"{project}/1.0/{project}-1.0.tar.gz")


@pytest.mark.parametrize("key", ["a//b", "a/../b", "a\\b", "ä/b", ".a/b", "x" * 300, "a/" * 600])
def test_keys_that_break_the_grammar(key: str) -> None:
    """Such keys cannot even be asked for."""
    with pytest.raises(Unfit, match="characters or segments"):
        check_key(key)


def test_core_metadata_needs_room() -> None:
    """The longest key is one whose core metadata has a key as well."""
    folder = "x" * 200
    key = f"{folder}/{folder}/{folder}/{folder}/"
    check_key(key + "y" * (LONGEST - len(key)))
    with pytest.raises(Unfit, match="longer than"):
        check_key(key + "y" * (LONGEST - len(key) + 1))


def test_the_builders_follow_the_rules() -> None:
    """The keys of tests are those that PyPICloud was seen to write."""
    assert wheel("demo_alpha").key() == "80e1/demo-alpha/demo_alpha-1.0-py3-none-any.whl"
    old = old_sdist("demo.beta", "2.0rc1")
    assert old.key() == "9a61/demo-beta/demo.beta-2.0rc1.tar.gz"
