"""Which representation a client gets (standards: 2.2)."""

from __future__ import annotations

import gzip

import pytest

from tests.conformance.site import HTML, JSON, Site

TEXT = "text/html"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
UV = f"{JSON}, {HTML};q=0.2, text/html;q=0.01"
POETRY = f"{JSON}, */*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
LATEST = "application/vnd.pypi.simple.latest"
TARGETS = ("/simple/", "/simple/neg/")
TABLE = {
    "neg_2 no accept": (None, TEXT),
    "neg_2 anything": ("*/*", TEXT),
    "neg_2 empty": ("", TEXT),
    "neg_2 browser": (BROWSER, TEXT),
    "neg_3 json": (JSON, JSON),
    "neg_3 html": (HTML, HTML),
    "neg_3 text": (TEXT, TEXT),
    "neg_4 latest json": (f"{LATEST}+json", JSON),
    "neg_4 latest html": (f"{LATEST}+html", HTML),
    "neg_5 html preferred": (f"{JSON};q=0.1, text/html", TEXT),
    "neg_5 json excluded": (f"{JSON};q=0, */*", TEXT),
    "neg_5 application": ("application/*", JSON),
    "neg_5 text": ("text/*", TEXT),
    "neg_5 exact over wildcard": (f"*/*;q=1, {HTML};q=0, text/html;q=0, {JSON};q=0.1", JSON),
    "neg_5 spaces": (f"  {JSON} ; q=0.9 ,\ttext/html ; q=0.8", JSON),
    "neg_5 case": (JSON.upper(), JSON),
    "neg_6 pip": (PIP, JSON),
    "neg_6 uv": (UV, JSON),
    "neg_6 poetry": (POETRY, JSON),
}


@pytest.fixture(scope="module", autouse=True)
def _project(site: Site) -> None:
    site.release("neg", requires_python=">=3.8")
    for number in range(12):
        site.release(f"neg-{number}", files={})
        site.release("neg", f"2.{number}", files={})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", TABLE)
def test_neg_1_to_neg_6_types(site: Site, target: str, case: str) -> None:
    """Each Accept header gets the type that the table says, named in lower case."""
    accept, wanted = TABLE[case]
    answer = site.get(target, {} if accept is None else {"Accept": accept})
    assert answer.status == 200
    kind = answer.header("content-type")
    assert kind is not None
    assert kind.partition(";")[0].strip() == wanted
    assert kind == kind.lower()
    assert answer.body.startswith(b"{" if wanted == JSON else b"<!DOCTYPE html>")


def test_neg_1_two_accept_headers_are_one(site: Site) -> None:
    """A header sent in two lines is a list in two parts."""
    answer = site.get("/simple/neg/", [("Accept", "text/html;q=0.1"), ("Accept", JSON)])
    assert answer.header("content-type") == JSON


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "accept", ["application/json", "application/vnd.pypi.simple.v2+json", "image/png", "*/*;q=0"]
)
def test_neg_7_nothing_acceptable_is_406(site: Site, target: str, accept: str) -> None:
    """Where nothing of ours is acceptable the answer is 406, and varies by Accept."""
    answer = site.get(target, {"Accept": accept})
    assert answer.status == 406
    assert "accept" in answer.words("vary")


@pytest.mark.parametrize(
    "accept", ["text/html;q=bogus", ";;;,,,", "\x01", "a/b/c", "q=1", "*" * 999]
)
def test_neg_7_nonsense_never_breaks(site: Site, accept: str) -> None:
    """An Accept header that makes no sense is 200, 406 or 400, never more."""
    assert site.get("/simple/neg/", {"Accept": accept}).status in (200, 400, 406)


@pytest.mark.parametrize("target", TARGETS)
def test_neg_8_the_query_beats_accept(site: Site, target: str) -> None:
    """``?format=`` decides, with ``%2B`` and with a raw ``+``; unknown values are 406."""
    for spelling in (JSON.replace("+", "%2B"), JSON, JSON.replace("/", "%2F")):
        answer = site.get(f"{target}?format={spelling}", {"Accept": "text/html"})
        assert answer.header("content-type") == JSON
    answer = site.get(f"{target}?format=text/html", {"Accept": JSON})
    assert (answer.header("content-type") or "").startswith("text/html")
    assert site.get(f"{target}?format=image/png").status in (200, 406)
    assert site.get(f"{target}?format=").status in (200, 406)


@pytest.mark.parametrize("target", TARGETS)
def test_neg_9_vary(site: Site, target: str) -> None:
    """200, 304 and 406 vary by Accept and Accept-Encoding, never by ``*``."""
    first = site.get(target, {"Accept": JSON})
    again = site.get(target, {"Accept": JSON, "If-None-Match": first.header("etag") or ""})
    refused = site.get(target, {"Accept": "image/png"})
    assert (first.status, again.status, refused.status) == (200, 304, 406)
    for answer in (first, again, refused):
        assert {"accept", "accept-encoding"} <= answer.words("vary")
        assert "*" not in answer.words("vary")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("accept", [JSON, TEXT])
def test_neg_10_pages_are_compressed(site: Site, target: str, accept: str) -> None:
    """Whoever takes gzip gets a page in it, the same when unpacked; others get it plain."""
    plain = site.get(target, {"Accept": accept})
    packed = site.get(target, {"Accept": accept, "Accept-Encoding": "gzip, deflate"})
    assert plain.header("content-encoding") is None
    zstd = site.get(target, {"Accept": accept, "Accept-Encoding": "zstd,gzip,deflate"})
    assert zstd.header("content-encoding") == "zstd"
    for refusing in ("identity", "gzip;q=0", "br", "*;q=0, identity"):
        answer = site.get(target, {"Accept": accept, "Accept-Encoding": refusing})
        assert answer.header("content-encoding") is None
        assert answer.body == plain.body
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.header("content-length") == str(len(packed.body))
