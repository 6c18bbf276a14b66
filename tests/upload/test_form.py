"""The form on the wire: what is read, what is refused, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import errors
from app.upload.form import Fields, receive
from app.upload.reader import Reader
from app.upload.spool import Spool
from tests.upload import bodies

LIMIT = 2**20
WHEEL = "demo-1.0-py3-none-any.whl"
FIELDS = [(":action", "file_upload"), ("name", "demo"), ("classifiers", "a"), ("classifiers", "b")]


class Read(NamedTuple):
    """What came of a form, its file read back."""

    fields: dict[str, tuple[str, ...]]
    filename: str | None
    content: bytes | None


async def read(
    chunks: AsyncIterator[bytes],
    spool: Path,
    *,
    content_type: str = bodies.CONTENT_TYPE,
    max_file_size: int = LIMIT,
    max_form_size: int = 32 * LIMIT,
) -> Read:
    """Receive a form, look at its file, and see that it is gone afterwards."""
    try:
        async with receive(
            chunks,
            content_type=content_type,
            spool=spool,
            max_file_size=max_file_size,
            max_form_size=max_form_size,
        ) as form:
            found = form.content
            content = None if found is None else found.path.read_bytes()
            if found is not None and content is not None:
                assert found.size == len(content)
                assert found.hashes.sha256 == hashlib.sha256(content).hexdigest()
                assert found.hashes.md5 == hashlib.md5(content).hexdigest()
                expected = hashlib.blake2b(content, digest_size=32).hexdigest()
                assert found.hashes.blake2b_256 == expected
            return Read(dict(form.fields), None if found is None else found.filename, content)
    finally:
        assert list(spool.iterdir()) == []


async def refused(
    body: bytes, spool: Path, match: str, *, content_type: str = bodies.CONTENT_TYPE
) -> None:
    """The body is refused for this reason."""
    with pytest.raises(errors.InvalidUpload, match=match):
        await read(bodies.chunked(body), spool, content_type=content_type)


@pytest.mark.parametrize("encode", [bodies.twine, bodies.uv, bodies.file_first])
async def test_forms_of_clients(
    tmp_path: Path, encode: Callable[[Iterable[tuple[str, str]], str, bytes], bytes]
) -> None:
    """Forms as clients write them are read, fields first or the file first."""
    body = encode(FIELDS, WHEEL, b"PK\r\n--\x00\xff")
    found = await read(bodies.chunked(body), tmp_path)
    assert found.fields == {
        ":action": ("file_upload",),
        "name": ("demo",),
        "classifiers": ("a", "b"),
    }
    assert (found.filename, found.content) == (WHEEL, b"PK\r\n--\x00\xff")


async def test_form_of_distutils(tmp_path: Path) -> None:
    """A CRLF before the first boundary is let through, since an old client sends it."""
    body = bodies.distutils(FIELDS, WHEEL, b"PK")
    content_type = (
        "multipart/form-data; boundary=--------------GHSKFJDLGDS7543FJKLFHRE75642756743254"
    )
    found = await read(bodies.chunked(body), tmp_path, content_type=content_type)
    assert found.content == b"PK"


async def test_form_without_file(tmp_path: Path) -> None:
    """A form without a file is a form; that it lacks the file is for the checks to say."""
    found = await read(bodies.chunked(bodies.body([bodies.field(":action", "submit")])), tmp_path)
    assert found == ({":action": ("submit",)}, None, None)


async def test_empty_file(tmp_path: Path) -> None:
    """A file of no bytes is a file."""
    found = await read(bodies.chunked(bodies.body([bodies.file(WHEEL, b"")])), tmp_path)
    assert found.content == b""


async def test_final_boundary_without_crlf(tmp_path: Path) -> None:
    """The CRLF after the last boundary is optional."""
    found = await read(bodies.chunked(bodies.body([bodies.file(WHEEL, b"x")], end="--")), tmp_path)
    assert found.content == b"x"


async def test_content_that_looks_like_a_boundary(tmp_path: Path) -> None:
    """Only a whole boundary on its own line ends a part."""
    content = f"x--{bodies.BOUNDARY}--\r\n--{bodies.BOUNDARY[:-1]}\r\n\r\r\n-".encode()
    body = bodies.body([bodies.file(WHEEL, content), bodies.field("name", "demo")])
    for size in (1, 7, 4096):
        found = await read(bodies.chunked(body, size), tmp_path)
        assert found.content == content


async def test_upl_6_other_files_are_refused(tmp_path: Path) -> None:
    """A file in any field but content is refused by the words that clients know."""
    body = bodies.body([bodies.file("x.txt", b"demo", name="name")])
    await refused(body, tmp_path, r"\Aname: Should not be a tuple\.\Z")


async def test_gpg_signature_is_ignored(tmp_path: Path) -> None:
    """A detached signature is accepted and not kept (twine, pdm)."""
    signature = bodies.file(f"{WHEEL}.asc", b"-----BEGIN", name="gpg_signature")
    body = bodies.body([bodies.file(WHEEL, b"x"), signature])
    found = await read(bodies.chunked(body), tmp_path)
    assert found == ({}, WHEEL, b"x")


async def test_upl_9_large_description(tmp_path: Path) -> None:
    """A description of 3 MiB passes."""
    text = "é" * (3 * 2**19)
    body = bodies.body([bodies.field("description", text), bodies.file(WHEEL, b"x")])
    found = await read(bodies.chunked(body), tmp_path)
    assert found.fields["description"] == (text,)


async def test_upl_9_many_fields(tmp_path: Path) -> None:
    """Five thousand fields pass, in their order."""
    parts = [bodies.field("requires_dist", f"p{number}") for number in range(5_000)]
    found = await read(bodies.chunked(bodies.body([*parts, bodies.file(WHEEL, b"x")])), tmp_path)
    assert found.fields["requires_dist"] == tuple(f"p{number}" for number in range(5_000))


async def test_fields_have_a_cap(tmp_path: Path) -> None:
    """All fields together are capped, those that are not kept included."""
    signature = bodies.file("a.asc", b"x" * 600, name="gpg_signature")
    for parts in (
        [bodies.field("description", "x" * 1_001)],
        [bodies.field("a", "x" * 600), bodies.field("b", "x" * 600)],
        [bodies.field("a", "x" * 600), signature],
    ):
        with pytest.raises(errors.TooLarge, match="1,000 bytes"):
            await read(bodies.chunked(bodies.body(parts)), tmp_path, max_form_size=1_000)


async def test_too_many_parts(tmp_path: Path) -> None:
    """More than twenty thousand parts are refused."""
    parts = [bodies.field("a", "")] * 20_001
    await refused(bodies.body(parts), tmp_path, "segment count")


async def test_upl_10_too_large_is_told_at_once(tmp_path: Path) -> None:
    """A file over the limit is refused as soon as it is over it, with the rest unread."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield bodies.body([bodies.file(WHEEL, b"")]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        while True:
            sent += 2**16
            yield b"x" * 2**16

    with pytest.raises(errors.TooLarge, match=r"File too large\. The limit is 1 MiB\."):
        await read(endless(), tmp_path)
    assert sent <= LIMIT + 2 * 2**20


async def test_upl_10_a_file_of_exactly_the_limit(tmp_path: Path) -> None:
    """The limit itself is allowed, one byte more is not."""
    body = bodies.body([bodies.file(WHEEL, b"x" * 500)])
    assert (await read(bodies.chunked(body), tmp_path, max_file_size=500)).content == b"x" * 500
    with pytest.raises(errors.TooLarge, match="499 bytes"):
        await read(bodies.chunked(body), tmp_path, max_file_size=499)


async def test_upl_10_a_declared_length_is_believed_when_too_large(tmp_path: Path) -> None:
    """A part that says it is too large is refused before its bytes are read."""
    head = bodies.body([bodies.file(WHEEL, b"", "Content-Length: 99999999")])

    async def waiting() -> AsyncIterator[bytes]:
        yield head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + b"x" * 2**16
        pytest.fail("the rest was read")

    with pytest.raises(errors.TooLarge):
        await read(waiting(), tmp_path)


@pytest.mark.parametrize(
    "filename",
    [
        "../demo-1.0.tar.gz",
        "/etc/passwd",
        "C:\\\\demo-1.0.tar.gz",
        "a/b.whl",
        "..",
        ".hidden.whl",
        "-flag.whl",
        "demo 1.0.whl",
        "demo-1.0.tar.gz%00",
        "demo-1.0%2fx.whl",
        "d\u00e9mo-1.0.whl",
        "demo\u2215-1.0.whl",
        "\u212aelvin-1.0.whl",
        "demo-1.0\u200b.whl",
        "x" * 201,
        "",
    ],
)
async def test_nam_9_hostile_filenames(tmp_path: Path, filename: str) -> None:
    """A filename that is not plain, or no filename at all, is refused before its bytes."""
    body = bodies.body([bodies.file(filename, b"x")])
    await refused(body, tmp_path, "filename|malformed")


@pytest.mark.parametrize("character", [*range(32), 127])
async def test_nam_9_control_characters(tmp_path: Path, character: int) -> None:
    """No control character passes in a filename."""
    body = bodies.body([bodies.file(f"a{chr(character)}b.whl", b"x")])
    await refused(body, tmp_path, "filename|malformed")


async def test_content_without_filename(tmp_path: Path) -> None:
    """The field content must be a file."""
    await refused(bodies.body([bodies.field("content", "x")]), tmp_path, "does not have a file")


async def test_two_files(tmp_path: Path) -> None:
    """Two files are refused, whichever a lenient parser would have taken."""
    body = bodies.body([bodies.file(WHEEL, b"good"), bodies.file(WHEEL, b"evil")])
    await refused(body, tmp_path, "two files")


@pytest.mark.parametrize(
    "name",
    [
        ":action",
        "protocol_version",
        "filetype",
        "pyversion",
        "metadata_version",
        "name",
        "version",
        "sha256_digest",
        "blake2_256_digest",
        "md5_digest",
        "comment",
    ],
)
async def test_repeated_fields(tmp_path: Path, name: str) -> None:
    """A field that decides something occurs once, even if it says the same twice."""
    body = bodies.body([bodies.field(name, "a"), bodies.field(name, "a")])
    await refused(body, tmp_path, f"{name}: The form has this field twice")


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (['Content-Disposition: form-data; name="a"; name="b"'], "two parameters"),
        (
            ['Content-Disposition: form-data; name="content"; filename="a"; filename="b"'],
            "two parameters",
        ),
        (['Content-Disposition: form-data; name="a"; NAME="b"'], "two parameters"),
        (["Content-Disposition: form-data; name*=utf-8''a"], "malformed"),
        (
            ["Content-Disposition: form-data; name=\"content\"; filename*=utf-8''a.whl"],
            "Content-Disposition",
        ),
        (['Content-Disposition: form-data; name="a\\"b"'], "malformed"),
        (['Content-Disposition: form-data; name="a" filename="b"'], "malformed"),
        (['Content-Disposition: form-data; name="a'], "malformed"),
        (['Content-Disposition: form-data; name="n%22"'], "malformed name"),
        (['Content-Disposition: form-data; name="\u00e9"'], "malformed name"),
        (['Content-Disposition: form-data; name=""'], "malformed name"),
        (["Content-Disposition: form-data"], "malformed"),
        (['Content-Disposition: attachment; name="a"'], "malformed"),
        (['Content-Type: text/plain"'], "malformed"),
        (
            [
                'Content-Disposition: form-data; name="a"',
                'Content-Disposition: form-data; name="b"',
            ],
            "header twice",
        ),
        (
            [
                'Content-Disposition: form-data; name="a"',
                "Content-Type: text/plain; charset=utf-7",
            ],
            "UTF-8",
        ),
        (
            [
                'Content-Disposition: form-data; name="a"',
                "Content-Type: text/plain; charset=iso-8859-1",
            ],
            "UTF-8",
        ),
        (
            [
                'Content-Disposition: form-data; name="a"',
                "Content-Type: multipart/mixed; boundary=b",
            ],
            "multipart body itself",
        ),
        (
            [
                'Content-Disposition: form-data; name="a"',
                "Content-Transfer-Encoding: base64",
            ],
            "transfer-encoded",
        ),
        (['Content-Disposition: form-data; name="a"', "Content-Length: 2"], "malformed"),
        (['Content-Disposition: form-data; name="a"', " folded: x"], "malformed"),
        (['Content-Disposition: form-data; name="a"', "No colon"], "malformed"),
        (['Content-Disposition: form-data; name="a"', *["X-A: b"] * 6], "malformed"),
        ([f'Content-Disposition: form-data; name="{"a" * 65}"'], "malformed name"),
        ([f'Content-Disposition: form-data; name="a"; {" " * 3_000}'], "malformed"),
    ],
)
async def test_hostile_part_headers(tmp_path: Path, headers: list[str], reason: str) -> None:
    """Headers of parts that parsers may read in two ways are refused."""
    await refused(bodies.body([bodies.Part(tuple(headers), b"x")]), tmp_path, reason)


async def test_part_headers_that_are_fine(tmp_path: Path) -> None:
    """A charset of UTF-8, a right length and harmless headers pass."""
    headers = ("Content-Type: text/plain; charset=UTF-8", "Content-Length: 1", "X-Other: y")
    found = await read(
        bodies.chunked(bodies.body([bodies.field("summary", "x", *headers)])), tmp_path
    )
    assert found.fields == {"summary": ("x",)}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
        f"{bodies.CONTENT_TYPE}; charset=utf-7",
        f"{bodies.CONTENT_TYPE}; charset=latin-1",
        f"{bodies.CONTENT_TYPE}; boundary=other",
        f"multipart/form-data; boundary={'b' * 71}",
        'multipart/form-data; boundary="a b"',
        'multipart/form-data; boundary="a\r\n"',
        "multipart/form-data; boundary=\u00e9",
        "multipart/form-data; boundary=a; ; =",
        "multipart/form-data, boundary=a",
    ],
)
async def test_hostile_content_types(tmp_path: Path, content_type: str) -> None:
    """Only multipart/form-data in UTF-8 with one boundary by RFC 2046 is read."""
    body = bodies.body([bodies.field("name", "demo")])
    await refused(body, tmp_path, "form|UTF-8", content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        f'Multipart/Form-Data; Boundary="{bodies.BOUNDARY}"',
        f"multipart/form-data;boundary={bodies.BOUNDARY};",
        f"multipart/form-data; charset=utf-8; boundary={bodies.BOUNDARY}",
    ],
)
async def test_content_types_that_are_fine(tmp_path: Path, content_type: str) -> None:
    """Case, quotes, order and a charset of UTF-8 make no difference."""
    body = bodies.body([bodies.field("name", "demo")])
    found = await read(bodies.chunked(body), tmp_path, content_type=content_type)
    assert found.fields == {"name": ("demo",)}


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"\r\n", b"\n"),
        lambda body: b"preamble\r\n" + body,
        lambda body: b"\r\n\r\n" + body,
        lambda body: body + b"epilogue",
        lambda body: body + body,
        lambda body: body + b"\r\n",
        lambda body: body.replace(b"--\r\n", b"\r\n"),
        lambda body: body.replace(b"\r\nContent", b" \r\nContent", 1),
        lambda body: b"",
        lambda body: f"--{bodies.BOUNDARY}--\r\n".encode(),
        lambda body: body.replace(b"0123456789abcdef\r\n", b"0123456789abcdee\r\n", 1),
    ],
)
async def test_hostile_framing(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """Bytes outside the boundaries, line feeds alone and a missing end are refused, however cut."""
    body = change(bodies.body([bodies.field("name", "demo"), bodies.file(WHEEL, b"x")]))
    for size in (1, 13, 10_000):
        with pytest.raises(errors.InvalidUpload, match="form"):
            await read(bodies.chunked(body, size), tmp_path)


async def test_text_is_utf_8(tmp_path: Path) -> None:
    """A field in another encoding is refused, by its name."""
    await refused(bodies.body([bodies.field("author", b"\xe9")]), tmp_path, "author: .*UTF-8")


async def test_on_fields_comes_before_the_file(tmp_path: Path) -> None:
    """The callback has the fields before the file, and may refuse with nothing written."""
    seen: list[Fields] = []

    async def forbid(fields: Fields) -> None:
        seen.append(fields)
        assert await asyncio.to_thread(os.listdir, tmp_path) == []
        raise errors.Forbidden("no")

    async def slow() -> AsyncIterator[bytes]:
        yield bodies.twine(FIELDS, WHEEL, b"x" * 2**17)[: 2**16]
        pytest.fail("the rest was read")

    with pytest.raises(errors.Forbidden):
        async with receive(
            slow(),
            content_type=bodies.CONTENT_TYPE,
            spool=tmp_path,
            max_file_size=LIMIT,
            on_fields=forbid,
        ):
            pytest.fail("refused forms are not given out")
    assert [fields["name"] for fields in seen] == [("demo",)]
    assert list(tmp_path.iterdir()) == []


async def test_on_fields_is_called_once_when_the_file_comes_first(tmp_path: Path) -> None:
    """Where the file comes first there are no fields yet; the form has all of them later."""
    seen: list[Fields] = []

    async def note(fields: Fields) -> None:
        seen.append(fields)

    async with receive(
        bodies.chunked(bodies.file_first(FIELDS, WHEEL, b"x")),
        content_type=bodies.CONTENT_TYPE,
        spool=tmp_path,
        max_file_size=LIMIT,
        on_fields=note,
    ) as form:
        assert form.fields["name"] == ("demo",)
    assert seen == [{}]


async def test_a_cancelled_upload_leaves_nothing(tmp_path: Path) -> None:
    """Cancelled while it waits for bytes, the reading removes its file."""
    begun = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        body = bodies.twine(FIELDS, WHEEL, b"x" * 2**18)
        yield body[:-100]
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(read(stalled(), tmp_path))
    await begun.wait()
    assert len(list(tmp_path.iterdir())) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_a_disconnect_leaves_nothing(tmp_path: Path) -> None:
    """What the source of chunks raises comes through, with the file removed."""

    async def broken() -> AsyncIterator[bytes]:
        yield bodies.twine(FIELDS, WHEEL, b"x" * 2**18)[:-100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await read(broken(), tmp_path)


async def test_a_spool_that_takes_nothing(tmp_path: Path) -> None:
    """A spool directory that cannot be written is the server's fault, not the client's."""
    with pytest.raises(errors.StorageUnavailable):
        async with receive(
            bodies.chunked(bodies.twine(FIELDS, WHEEL, b"x")),
            content_type=bodies.CONTENT_TYPE,
            spool=tmp_path / "missing",
            max_file_size=LIMIT,
        ):
            pytest.fail("there is nowhere to write")


def test_a_full_disk(tmp_path: Path) -> None:
    """A device without room is answered by 'try again later'."""
    full = Path("/dev/full")
    assert full.is_char_device()
    spool = Spool(tmp_path, limit=LIMIT)
    with full.open("wb", buffering=0) as device:
        os.dup2(device.fileno(), spool._descriptor)
        with pytest.raises(errors.StorageUnavailable, match="room"):
            spool.write(b"x")
    spool.discard()
    assert list(tmp_path.iterdir()) == []


HOSTILE = st.sampled_from(
    [
        b"\r\n",
        b"\r",
        b"\n",
        b"--",
        f"--{bodies.BOUNDARY}".encode(),
        f"\r\n--{bodies.BOUNDARY[:-1]}".encode(),
        f"\r\n--{bodies.BOUNDARY}"[:-3].encode(),
        b"\x00",
        b"PK\x03\x04",
    ]
)
CONTENTS = st.lists(HOSTILE | st.binary(max_size=40), max_size=12).map(b"".join)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body, and the content of its file."""
    content = draw(CONTENTS)
    while f"\r\n--{bodies.BOUNDARY}".encode() in b"\r\n" + content:
        content = content.replace(bodies.BOUNDARY.encode(), b"")
    text = draw(st.text(max_size=50)).replace(bodies.BOUNDARY, "")
    parts = [bodies.field("name", "demo"), bodies.file(WHEEL, content), bodies.field("a", text)]
    return bodies.body(draw(st.permutations(parts))), content


@settings(max_examples=150, deadline=None)
@given(form=forms(), places=st.sets(st.integers(0, 600), max_size=12))
def test_any_cuts_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, form: tuple[bytes, bytes], places: set[int]
) -> None:
    """However a body is cut into chunks, the same form is read."""
    spool = tmp_path_factory.mktemp("spool")
    body, content = form
    whole = asyncio.run(read(bodies.cut([body]), spool))
    pieces = list(bodies.split(body, places))
    assert _read_unbatched(pieces, spool) == whole
    assert whole.content == content


@settings(max_examples=150, deadline=None)
@given(form=forms(), data=st.data())
def test_any_truncation_is_refused(
    tmp_path_factory: pytest.TempPathFactory, form: tuple[bytes, bytes], data: st.DataObject
) -> None:
    """A body that ends before its last boundary does is refused, wherever it was cut."""
    spool = tmp_path_factory.mktemp("spool")
    body, _ = form
    end = data.draw(st.integers(0, len(body) - 3))
    with pytest.raises(errors.InvalidUpload, match=r"incomplete|begin"):
        asyncio.run(read(bodies.cut([body[:end]]), spool))


@settings(max_examples=100, deadline=None)
@given(garbage=st.lists(HOSTILE | st.binary(max_size=30), max_size=20).map(b"".join))
def test_garbage_is_refused(tmp_path_factory: pytest.TempPathFactory, garbage: bytes) -> None:
    """Whatever the bytes are, the answer is a refusal and nothing else."""
    spool = tmp_path_factory.mktemp("spool")
    body = f'--{bodies.BOUNDARY}\r\nContent-Disposition: form-data; name="a"'.encode() + garbage
    with suppress(errors.InvalidUpload):
        asyncio.run(read(bodies.cut([body]), spool))


def _read_unbatched(pieces: list[bytes], spool: Path) -> Read:
    """As ``read``, with each piece fed by itself."""
    reader = Reader(bodies.BOUNDARY, spool=spool, max_file_size=LIMIT, max_form_size=LIMIT)
    try:
        for piece in pieces:
            if reader.feed(piece):
                reader.resume()
        content = reader.finish()
        assert content is not None
        return Read(dict(reader.fields()), content.filename, content.path.read_bytes())
    finally:
        reader.discard()
