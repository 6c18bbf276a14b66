"""From a form to a distribution: all checks together, with a given and with a real inspection."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app import errors
from app.models import Kind
from app.upload.accept import accept
from app.upload.distribution import Distribution
from app.upload.form import receive
from app.upload.inspection import Inspectors, inspectors
from app.upload.profile import Profile
from tests import factories
from tests.upload import bodies

WHEEL = "demo-1.0-py3-none-any.whl"
PROFILES: tuple[Profile, ...] = ("strict", "import")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An inspection that finds what the test says, and notes that it was asked."""

    metadata: bytes
    root: str = "demo-1.0.dist-info"
    entry_points: bytes | None = None
    names: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    async def inspect(self, path: Path, *, filename: str, kind: Kind, profile: Profile) -> Given:
        """What is given."""
        self.asked.append(filename)
        assert await asyncio.to_thread(path.exists)
        return self


def core(*lines: str, name: str = "demo", version: str = "1.0", metadata: str = "2.4") -> bytes:
    """Core metadata with these lines."""
    head = (f"Metadata-Version: {metadata}", f"Name: {name}", f"Version: {version}")
    return "".join(f"{line}\n" for line in (*head, *lines)).encode()


async def upload(
    spool: Path,
    *,
    inspector: Given | Inspectors,
    filename: str = WHEEL,
    content: bytes = b"bytes",
    profile: Profile = "strict",
    omit: Iterable[str] = (),
    changes: Mapping[str, str] | None = None,
    **more: str,
) -> Distribution:
    """Send a right form, changed, and have it accepted; ``action`` stands for ``:action``."""
    made = factories.Made(filename, content)
    fields = factories.form(made, "demo", "1.0")
    if not filename.endswith(".whl"):
        fields |= {"filetype": "sdist", "pyversion": "source"}
    fields |= {
        (":action" if key == "action" else key): text
        for key, text in (dict(changes or {}) | more).items()
    }
    sent = [(key, text) for key, text in fields.items() if key not in set(omit)]
    async with receive(
        bodies.chunked(bodies.uv(sent, filename, content)),
        content_type=bodies.CONTENT_TYPE,
        spool=spool,
        max_file_size=2**20,
    ) as form:
        distribution = await accept(form, profile=profile, inspector=inspector)
        assert await asyncio.to_thread(distribution.path.read_bytes) == content
        return distribution


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_wheel(tmp_path: Path, profile: Profile) -> None:
    """A wheel becomes a distribution whose facts are those of the file."""
    metadata = core("Summary: a demo", "Requires-Python: >=3.8", "Classifier: Private :: X")
    found = await upload(
        tmp_path, inspector=Given(metadata=metadata), profile=profile, comment="hello"
    )
    assert (found.project, found.version, found.kind) == ("demo", "1.0", Kind.WHEEL)
    assert (found.filename, found.python_version) == ("demo-1.0-py3-none-any.whl", "py3")
    assert (found.size, found.hashes.sha256) == (5, hashlib.sha256(b"bytes").hexdigest())
    assert (found.metadata, found.metadata_static) == (metadata, True)
    assert (found.requires_python, found.summary) == (">=3.8", "a demo")
    assert found.comment == "hello"
    assert found.core["classifier"] == ["Private :: X"]


async def test_a_static_and_a_dynamic_sdist(tmp_path: Path) -> None:
    """Metadata of an sdist is trusted only where it says that nothing can change (MET-4)."""
    for line, static in (("Summary: x", True), ("Dynamic: Requires-Dist", False)):
        found = await upload(
            tmp_path, filename="demo-1.0.tar.gz", inspector=Given(metadata=core(line))
        )
        assert (found.kind, found.python_version) == (Kind.SDIST, "source")
        assert found.metadata_static is static


async def test_the_display_name_is_the_authors(tmp_path: Path) -> None:
    """However the form and the filename spell it, the name shown is that of the metadata."""
    metadata = core(name="Lab.Demo_pkg")
    found = await upload(
        tmp_path,
        filename="lab_demo_pkg-1.0-py3-none-any.whl",
        inspector=Given(metadata=metadata),
        name="lab.Demo-pkg",
    )
    assert (found.project, found.display_name) == ("lab-demo-pkg", "Lab.Demo_pkg")


async def test_cnt_15_the_file_is_the_truth(tmp_path: Path) -> None:
    """What the form says beside name, version and type is not believed."""
    found = await upload(
        tmp_path,
        inspector=Given(metadata=core("Summary: true", metadata="2.5")),
        metadata_version="2.3",
        summary="false",
        requires_python=">=99",
        pyversion="cp27",
    )
    assert (found.summary, found.requires_python, found.python_version) == ("true", None, "py3")
    assert found.core["metadata_version"] == "2.5"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (core(name="evil"), "project 'evil', not 'demo'"),
        (core(version="1.1"), "version '1.1', not '1.0'"),
        (core(version="1.0+local"), "version '1.0"),
        (b"", "Metadata-Version"),
    ],
)
async def test_nam_5_the_file_is_what_the_form_says(
    tmp_path: Path, metadata: bytes, reason: str, profile: Profile
) -> None:
    """A file whose metadata is of another project or version is refused."""
    with pytest.raises(errors.InvalidUpload, match=reason):
        await upload(tmp_path, inspector=Given(metadata=metadata), profile=profile)
    assert list(tmp_path.iterdir()) == []


async def test_nam_5_versions_are_equal_by_pep_440(tmp_path: Path) -> None:
    """The version in the filename, the form and the file may differ in trailing zeros."""
    found = await upload(
        tmp_path,
        filename="demo-1.0.0-py3-none-any.whl",
        inspector=Given(metadata=core(version="1.0")),
        version="1",
    )
    assert found.version == "1.0"


@pytest.mark.parametrize(
    ("filename", "changes", "reason"),
    [
        (WHEEL, {"action": "submit"}, "gone"),
        (WHEEL, {"filetype": "bdist_egg"}, "known file type"),
        ("other-1.0-py3-none-any.whl", {}, "Start filename for 'demo' with 'demo'"),
        ("demo-2.0-py3-none-any.whl", {}, "Version in filename should be '1.0' not"),
        ("demo-1.0.egg", {"filetype": "sdist", "pyversion": ""}, "Invalid file extension"),
        (WHEEL, {"sha256_digest": "0" * 64}, "does not match"),
        (WHEEL, {"version": "../../../escape"}, "is not a version"),
        (WHEEL, {"name": "/abs/dir"}, "name: "),
    ],
)
async def test_cheap_checks_come_first(
    tmp_path: Path, filename: str, changes: dict[str, str], reason: str
) -> None:
    """What the form alone gives away is refused before anybody looks into the archive."""
    given = Given(metadata=core())
    with pytest.raises(errors.InvalidUpload, match=reason):
        await upload(tmp_path, inspector=given, filename=filename, changes=changes)
    assert given.asked == []


async def test_upl_5_no_digest(tmp_path: Path) -> None:
    """A form without any digest is refused."""
    with pytest.raises(errors.InvalidUpload, match="Include at least one message digest"):
        await upload(
            tmp_path,
            inspector=Given(metadata=core()),
            omit=("sha256_digest", "blake2_256_digest", "md5_digest"),
        )


async def test_upl_6_empty_fields_of_pdm(tmp_path: Path) -> None:
    """Clients that send every field, empty or not, are understood."""
    assert await upload(
        tmp_path, inspector=Given(metadata=core()), author="", license="", comment="UNKNOWN"
    )


@pytest.mark.parametrize("action", ["submit", "submit_pkg_info", "doc_upload"])
async def test_upl_19_a_form_without_file(tmp_path: Path, action: str) -> None:
    """A former action is told to be gone, though it has no file; a right one lacks it."""
    for asked, error, reason in (
        (action, errors.ActionGone, action),
        ("file_upload", errors.InvalidUpload, "Upload payload does not have a file"),
    ):
        fields = factories.form(factories.make_wheel(), "demo", "1.0") | {":action": asked}
        body = bodies.body(bodies.field(name, text) for name, text in fields.items())
        async with receive(
            bodies.chunked(body),
            content_type=bodies.CONTENT_TYPE,
            spool=tmp_path,
            max_file_size=1,
        ) as form:
            with pytest.raises(error, match=reason):
                await accept(form, profile="strict", inspector=Given(metadata=core()))


@pytest.mark.parametrize(
    ("filename", "place", "root"),
    [
        ("demo-1.0-py3-none-any.whl", "licenses/docs/LICENSE", "demo-1.0.dist-info"),
        ("demo-1.0.tar.gz", "docs/LICENSE", "demo-1.0"),
    ],
)
@pytest.mark.parametrize("profile", PROFILES)
async def test_cnt_7_license_files(
    tmp_path: Path, filename: str, place: str, root: str, profile: Profile
) -> None:
    """From 2.4 on a License-File is in the archive; before, it need not be."""
    for metadata, names, fine in (
        (core("License-File: docs/LICENSE"), {place}, True),
        (core("License-File: docs/LICENSE"), {"LICENSE"}, False),
        (core("License-File: docs/LICENSE", metadata="2.3"), set(), True),
    ):
        given = Given(metadata=metadata, names=frozenset(names), root=root)
        if fine:
            assert await upload(tmp_path, filename=filename, inspector=given, profile=profile)
            continue
        expected = f"License-File 'docs/LICENSE' does not exist in .* at '{root}/{place}'"
        with pytest.raises(errors.InvalidUpload, match=expected):
            await upload(tmp_path, filename=filename, inspector=given, profile=profile)


@pytest.mark.parametrize(
    "text",
    [
        b"[console_scripts]\ndemo = demo:main\nDemo.x-1_2 = demo:other [extra]\n",
        b"[gui_scripts]\ndemo=demo:main\n\n[any.group]\nany name: with colon = demo\n",
        b"# a comment\n",
        b"",
        b"[DEFAULT]\na b = c\n",
    ],
)
async def test_cnt_13_entry_points(tmp_path: Path, text: bytes) -> None:
    """Entry points as tools write them pass."""
    assert await upload(tmp_path, inspector=Given(metadata=core(), entry_points=text))


@pytest.mark.parametrize(
    "text",
    [
        b"not an INI file",
        b"[console_scripts]\nno value\n",
        b"[console_scripts]\na = b\na = c\n",
        b"[console_scripts]\n../../evil = a:b\n",
        b"[console_scripts]\n.. = a:b\n",
        b"[console_scripts]\na b = a:b\n",
        b"[gui_scripts]\na/b = a:b\n",
        b"[gui_scripts]\n\xc3\xa9 = a:b\n",
        b"[console_scripts]\n\xff = a:b\n",
        b"[console_scripts]\npython = a:b\n",
        b"[console_scripts]\npip = a:b\n",
        b"[a]\n[a]\n",
        b"[" * 1_000_000,
        b"".join(b"[g%d]\n" % number for number in range(100_000)),
        b"[console_scripts]\n" + b"a." * 400_000 + b"/ = b\n",
    ],
)
async def test_cnt_13_wrong_entry_points(tmp_path: Path, text: bytes) -> None:
    """What is no INI file, and scripts whose names are no filenames, are refused in strict only."""
    given = Given(metadata=core(), entry_points=text)
    with pytest.raises(errors.InvalidUpload, match=r"\Aentry_points\.txt: "):
        await upload(tmp_path, inspector=given)
    assert await upload(tmp_path, inspector=given, profile="import")


@pytest.mark.parametrize(
    "metadata",
    [
        core("Summary: " + "x" * 600),
        core("Summary: two\n  lines"),
        core("Classifier: Not known"),
        core("Requires-Dist: not a requirement"),
        core("License: MIT", "License-Expression: MIT"),
        core("Author-email: nobody"),
        core(metadata="2.0"),
        core("Author: caf\u00e9").decode().encode("latin-1"),
    ],
)
async def test_import_is_lenient(tmp_path: Path, metadata: bytes) -> None:
    """What older tools wrote passes in import and is refused in strict."""
    with pytest.raises(errors.InvalidUpload):
        await upload(tmp_path, inspector=Given(metadata=metadata))
    found = await upload(tmp_path, inspector=Given(metadata=metadata), profile="import")
    assert len(found.summary) <= 512
    assert "\n" not in found.summary
    assert found.metadata == metadata


async def test_import_shows_no_requires_python_that_stops_installers(tmp_path: Path) -> None:
    """A specifier that installers choke on is not shown on pages; uv would drop the file."""
    metadata = core("Requires-Python: >=3.8.*,<bogus")
    found = await upload(tmp_path, inspector=Given(metadata=metadata), profile="import")
    assert found.requires_python is None


@pytest.fixture
async def pool() -> AsyncIterator[Inspectors]:
    """One real child process."""
    async with inspectors(count=1) as opened:
        yield opened


async def test_real_distributions(tmp_path: Path, pool: Inspectors) -> None:
    """Real archives, really inspected, come out with their own metadata."""
    lines = [("License-File", "LICENSE"), ("Provides-Extra", "x")]
    wheel = factories.make_wheel(
        headers=lines,
        dist_info={"licenses/LICENSE": b"MIT", "entry_points.txt": b"[console_scripts]\nd = d:m\n"},
        requires_python=">=3.9",
    )
    sdist = factories.make_sdist(headers=lines, files={"LICENSE": b"MIT"})
    for made in (wheel, sdist):
        found = await upload(tmp_path, filename=made.filename, content=made.content, inspector=pool)
        assert found.metadata.startswith(b"Metadata-Version: 2.4\n")
        assert found.core["license_file"] == ["LICENSE"]
        assert found.metadata_static


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (factories.make_wheel(core=core(name="evil")), "project 'evil'"),
        (factories.make_wheel(headers=[("License-File", "LICENSE")]), "does not exist"),
        (factories.make_sdist(core=core(version="9.9")), "version '9.9'"),
        (
            factories.make_wheel(dist_info={"entry_points.txt": b"[console_scripts]\n.. = a\n"}),
            "name for a script",
        ),
        (factories.Made("demo-1.0-py3-none-any.whl", b""), "Invalid distribution file"),
    ],
)
async def test_real_distributions_that_lie(
    tmp_path: Path, pool: Inspectors, made: factories.Made, reason: str
) -> None:
    """Archives whose inside disagrees with the outside are refused, and leave nothing."""
    with pytest.raises(errors.InvalidUpload, match=reason):
        await upload(tmp_path, filename=made.filename, content=made.content, inspector=pool)
    assert list(tmp_path.iterdir()) == []
