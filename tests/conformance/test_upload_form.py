"""The upload form on the wire (standards: 5.1, 10.4; security: the stack's own behaviours)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from tests.conformance.client import BOUNDARY, MULTIPART, claim, multipart
from tests.conformance.site import ADMIN, Site
from tests.factories import Made, make_sdist, make_wheel

EDGE = f"--{BOUNDARY}"


def _post(site: Site, body: bytes, kind: str = MULTIPART["Content-Type"]) -> tuple[int, str]:
    headers = {"Content-Type": kind} if kind else {}
    answer = site.ask("POST", "/legacy/", headers, body, auth=ADMIN)
    return answer.status, answer.message


def _body(name: str) -> tuple[Made, bytes]:
    made = make_wheel(name)
    return made, multipart(claim(made, name, "1.0").items(), made)


def test_the_fields_of_every_client(site: Site) -> None:
    """All that twine, uv, poetry, hatch, pdm and flit send, in their spellings, is taken."""
    extra = {
        "summary": "s", "description": "d", "description_content_type": "text/markdown",
        "keywords": "a, b", "license": "", "license_expression": "MIT", "author": "",
        "author_email": "UNKNOWN", "maintainer": "", "maintainer_email": "", "home_page": "",
        "download_url": "UNKNOWN", "requires_python": "", "comment": "", "gpg_signature": "",
        "unheard_of": "x", "platform": "any", "platforms": "any", "obsoletes": "",
    }  # fmt: skip
    lists = [
        (name, value)
        for name in ("classifiers", "classifier", "project_urls", "project_url", "provides_extra",
                     "provides_extras", "requires_dist", "license_file", "license_files",
                     "import_name", "import_names", "import_namespace", "import_namespaces",
                     "supported_platform", "supported_platforms", "dynamic", "requires",
                     "provides", "obsoletes_dist", "provides_dist", "requires_external")
        for value in ("one", "two", "", "Label, https://x.example/")
    ]  # fmt: skip
    name = "form-all"
    site.publish(make_wheel(name), name, fields=extra, more=lists)
    site.publish(make_sdist(name), name, fields=extra, more=lists)


def test_upl_9_large_fields(site: Site) -> None:
    """A description of some MiB and thousands of fields pass."""
    many = [("classifiers", f"A :: {number}") for number in range(3000)]
    made = make_wheel("upl-9", description="d" * 3_000_000)
    site.publish(made, "upl-9", fields={"description": "d" * 3_000_000}, more=many)


def test_content_without_a_type_and_with_one(site: Site) -> None:
    """The file part may have a Content-Type (twine) or none (uv, flit)."""
    _, body = _body("form-type")
    typed = body.replace(b'.whl"\r\n', b'.whl"\r\nContent-Type: application/octet-stream\r\n')
    assert typed != body
    for sent in (typed, body):
        answer = site.ask("POST", "/legacy/", MULTIPART, sent, auth=ADMIN)
        assert answer.status == 200


def test_the_order_of_fields_is_free(site: Site) -> None:
    """The file may come first, or in the middle."""
    made = make_wheel("form-order")
    fields = list(claim(made, "form-order", "1.0").items())
    file = multipart([], made).removesuffix(f"{EDGE}--\r\n".encode())
    for cut in (0, 5, len(fields)):
        before = multipart(fields[:cut], None).removesuffix(f"{EDGE}--\r\n".encode())
        body = before + file + multipart(fields[cut:], None)
        assert site.ask("POST", "/legacy/", MULTIPART, body, auth=ADMIN).status == 200


@pytest.mark.parametrize("cut", [4, len(EDGE) + 4, len(EDGE) + 6, 200])
def test_without_the_last_boundary_nothing_is_taken(site: Site, cut: int) -> None:
    """A body whose end is missing is no form, however little is missing."""
    _, body = _body(f"form-cut-{cut}")
    status, _ = _post(site, body[:-cut])
    assert status == 400
    assert site.page(f"form-cut-{cut}").status == 404


def test_bytes_after_the_end(site: Site) -> None:
    """What comes after the last boundary, or before the first, does not smuggle a field in."""
    _, body = _body("form-epilogue")
    second = multipart([("name", "form-epilogue-2")], None)
    status, message = _post(site, body + second)
    assert status in (200, 400), message
    assert site.page("form-epilogue-2").status == 404


@pytest.mark.parametrize(
    "field", ["name", "version", ":action", "filetype", "sha256_digest", "pyversion",
              "protocol_version", "metadata_version"]
)  # fmt: skip
def test_single_fields_come_once(site: Site, field: str) -> None:
    """A field that is read one way by us and another way by others is refused."""
    made = make_wheel("form-twice")
    message = site.refuse(made, "form-twice", more=[(field, "x")])
    assert "twice" in message


def test_two_files(site: Site) -> None:
    """One upload, one file."""
    _, body = _body("form-two")
    second = multipart([], make_wheel("form-two", "2.0"))
    status, message = _post(site, body.removesuffix(f"{EDGE}--\r\n".encode()) + second)
    assert (status, "two files" in message) == (400, True)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json",
     "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x",
     f"multipart/form-data; boundary={BOUNDARY}; boundary=other",
     f"multipart/form-data; boundary={BOUNDARY}; charset=utf-7",
     f"multipart/form-data; boundary={BOUNDARY}; charset=utf-16",
     f'multipart/form-data; boundary="{"b" * 300}"'],
)  # fmt: skip
def test_other_types_are_refused(site: Site, kind: str) -> None:
    """What is no form, or a form that two readers could read differently, is refused."""
    _, body = _body("form-kind")
    status, _ = _post(site, body, kind)
    assert status in (400, 413, 415)
    assert site.page("form-kind").status == 404


@pytest.mark.parametrize(
    "kind",
    [
        "MULTIPART/Form-Data; Boundary={}",
        'multipart/form-data; boundary="{}"',
        "multipart/form-data;boundary={}; charset=UTF-8",
    ],
)
def test_other_spellings_of_the_type(site: Site, kind: str) -> None:
    """Capitals, quotes and UTF-8 are fine."""
    _, body = _body("form-spelled")
    headers = {"Content-Type": kind.format(BOUNDARY)}
    assert site.ask("POST", "/legacy/", headers, body, auth=ADMIN).status == 200


DISPOSITIONS = {
    "two filenames": 'form-data; name="content"; filename="{0}"; filename="x-1.0-py3-none-any.whl"',
    "filename*": 'form-data; name="content"; filename="{0}"; filename*=UTF-8\'\'x-1.0.whl',
    "two names": 'form-data; name="content"; name="other"; filename="{0}"',
    "no name": 'form-data; filename="{0}"',
    "attachment": 'attachment; name="content"; filename="{0}"',
    "path": 'form-data; name="content"; filename="a/{0}"',
    "backslash": 'form-data; name="content"; filename="a\\\\{0}"',
    "encoded": 'form-data; name="content"; filename="=?utf-8?B?eA==?="',
}


@pytest.mark.parametrize("case", DISPOSITIONS)
def test_file_parts_that_can_be_read_two_ways(site: Site, case: str) -> None:
    """A file part whose name is not one plain name is refused."""
    made, body = _body("form-disposition")
    wanted = f'form-data; name="content"; filename="{made.filename}"'
    changed = body.replace(wanted.encode(), DISPOSITIONS[case].format(made.filename).encode())
    assert changed != body
    status, _ = _post(site, changed)
    assert status == 400
    assert site.page("form-disposition").status == 404


PARTS: dict[str, Callable[[bytes], bytes]] = {
    "bare line feeds": lambda body: body.replace(b"\r\n", b"\n"),
    "transfer encoding": lambda body: body.replace(
        b'name="content"', b'name="content"\r\nContent-Transfer-Encoding: base64\r\nX: "', 1
    ),
    "no disposition": lambda body: body.replace(b"Content-Disposition", b"X-Disposition", 1),
    "two dispositions": lambda body: body.replace(
        b"Content-Disposition:",
        b'Content-Disposition: form-data; name="a"\r\nContent-Disposition:',
        1,
    ),
    "many headers": lambda body: body.replace(
        b"Content-Disposition:", b"X-A: b\r\n" * 500 + b"Content-Disposition:", 1
    ),
    "huge header": lambda body: body.replace(
        b"Content-Disposition:", b"X-A: " + b"b" * 100_000 + b"\r\nContent-Disposition:", 1
    ),
    "part length": lambda body: body.replace(
        b'.whl"\r\n', b'.whl"\r\nContent-Length: 3\r\n', 1
    ),
    "not utf-8": lambda body: body.replace(b"file_upload", b"file_\xffupload", 1),
    "utf-7": lambda body: body.replace(
        b'name="version"\r\n', b'name="version"\r\nContent-Type: text/plain; charset=utf-7\r\n', 1
    ),
    "nothing": lambda body: b"",
    "only the end": lambda body: f"{EDGE}--\r\n".encode(),
    "rubbish": lambda body: b"\x00\xff" * 5000,
    "rubbish before": lambda body: b"GET / HTTP/1.1\r\n\r\n" + body,
}  # fmt: skip


@pytest.mark.parametrize("case", PARTS)
def test_malformed_forms(site: Site, case: str) -> None:
    """A form that is not well formed is 400 and leaves nothing; none is an error of ours."""
    _, body = _body("form-malformed")
    changed = PARTS[case](body)
    assert changed != body
    status, message = _post(site, changed)
    assert status in (400, 413, 431), (case, status, message)
    assert site.page("form-malformed").status == 404


def test_many_parts(site: Site) -> None:
    """A form of a hundred thousand parts is refused, not read for ever."""
    body = multipart([("a", "")] * 100_000, None)
    status, _ = _post(site, body)
    assert status in (400, 413)


def test_upl_10_fields_that_are_too_large(site: Site) -> None:
    """Fields of more than 32 MiB are refused as too large."""
    body = multipart([("description", "d" * (33 << 20))], None)
    status, message = _post(site, body)
    assert status in (400, 413)
    assert "large" in message


def test_upl_6_other_fields_are_no_files(site: Site) -> None:
    """A file where none belongs is refused; a signature may come and is let go."""
    made = make_wheel("form-tuple")
    fields = claim(made, "form-tuple", "1.0")
    end = f"{EDGE}--\r\n".encode()
    for field, wanted in (("name", 400), ("description", 400), ("gpg_signature", 200)):
        pairs = [(key, text) for key, text in fields.items() if key != field]
        file = multipart([], Made("x.asc", b"x"), part=field)
        body = multipart(pairs, made).removesuffix(end) + file
        answer = site.ask("POST", "/legacy/", MULTIPART, body, auth=ADMIN)
        assert answer.status == wanted, answer.body
        if wanted == 400:
            assert "Should not be a tuple" in answer.message


def test_utf_8_fields(site: Site) -> None:
    """Fields in UTF-8 are read as such."""
    made = make_wheel("form-utf-8")
    site.publish(made, "form-utf-8", fields={"author": "Jos\u00e9", "summary": "\u65e5\u672c"})


def test_the_input_is_not_echoed(site: Site) -> None:
    """Neither passwords nor markup come back in a refusal."""
    made = make_wheel("form-echo")
    for field in ("name", "version", "filetype", ":action", "sha256_digest", "comment"):
        text = "<hunter2\u202e\x00\n>"
        answer = site.upload(made, "form-echo", auth=ADMIN, fields={field: text})
        assert answer.status == 400
        assert answer.header("content-type") == "application/json"
        assert "\u202e" not in answer.message
        assert answer.reason.isascii()
        assert answer.reason.isprintable()
        assert ADMIN[1].encode() not in answer.body


def test_digest_of_an_empty_file(site: Site) -> None:
    """An empty file is refused as one."""
    made = Made("form_empty-1.0-py3-none-any.whl", b"")
    digest = hashlib.sha256(b"").hexdigest()
    assert site.refuse(made, "form-empty", fields={"sha256_digest": digest})
