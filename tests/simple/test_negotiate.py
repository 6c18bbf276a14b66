"""Which representation an Accept header, or ``?format=``, gets."""

from __future__ import annotations

import pytest

from app.simple.negotiate import Coding, Format, coding, representation

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
UV = f"{JSON}, {HTML};q=0.2, text/html;q=0.01"
POETRY = f"{JSON}, */*;q=0.1"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("accept", [None, "", " ", "*/*", "*/*;q=0.1"])
def test_neg_2_whoever_takes_anything_gets_html(accept: str | None) -> None:
    """No Accept header, and ``*/*``, mean text/html."""
    assert representation(accept) is Format.TEXT


@pytest.mark.parametrize("format", list(Format))
def test_neg_3_each_type_yields_itself(format: Format) -> None:
    """Each of the three types is answered with that type, however it is cased."""
    assert representation(format.value) is format
    assert representation(format.value.upper()) is format


def test_neg_4_latest_is_v1() -> None:
    """``latest`` is answered with the version that it is."""
    assert representation("application/vnd.pypi.simple.latest+json") is Format.JSON
    assert representation("application/vnd.pypi.simple.latest+html") is Format.HTML


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        (f"{JSON};q=0.1, text/html", Format.TEXT),
        (f"{JSON};q=0, */*", Format.TEXT),
        ("text/html;q=0, */*", Format.JSON),
        ("application/*", Format.JSON),
        ("text/*", Format.TEXT),
        ("text/*, application/*;q=0.9", Format.TEXT),
        (f"{HTML};q=0.5, {JSON};q=0.4, text/html;q=0.3", Format.HTML),
        (f"text/html, {HTML}, {JSON}", Format.JSON),
        (f"{JSON};q=0.001", Format.JSON),
        ("text/html;level=1;q=0.5", Format.TEXT),
        (f"{JSON} ; Q=0.3 , text/html;q=0.2", Format.JSON),
        (f"text/html, {JSON};q=nonsense", Format.TEXT),
        (f"application/*;q=0, {JSON}", Format.JSON),
        (BROWSER, Format.TEXT),
        ("application/xml;q=0.9, */*;q=0.8", Format.TEXT),
    ],
)
def test_neg_5_weights_decide(accept: str, format: Format) -> None:
    """The greatest weight wins; the more exact range gives a type its weight."""
    assert representation(accept) is format


@pytest.mark.parametrize("accept", [PIP, UV, POETRY])
def test_neg_6_the_clients_get_json(accept: str) -> None:
    """What pip, pdm, uv and poetry send yields JSON."""
    assert representation(accept) is Format.JSON


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/vnd.pypi.simple.v2+json",
        "image/png",
        f"{JSON};q=0",
        "*/*;q=0",
        "text",
        ";,;",
    ],
)
def test_neg_7_nothing_acceptable(accept: str) -> None:
    """Where the client takes none of our types there is none."""
    assert representation(accept) is None


@pytest.mark.parametrize(
    ("wanted", "format"),
    [
        (JSON, Format.JSON),
        (JSON.replace("+", " "), Format.JSON),
        ("application/vnd.pypi.simple.latest html", Format.HTML),
        ("text/html", Format.TEXT),
        ("application/json", None),
        ("", None),
    ],
)
def test_neg_8_the_query_beats_the_header(wanted: str, format: Format | None) -> None:
    """``?format=`` decides, also with a raw ``+`` that was decoded to a blank."""
    assert representation("text/html", wanted) is format
    assert representation(PIP, wanted) is format


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, Coding.IDENTITY),
        ("", Coding.IDENTITY),
        ("identity", Coding.IDENTITY),
        ("gzip, deflate", Coding.GZIP),
        ("gzip, deflate, zstd", Coding.ZSTD),
        ("zstd,gzip,deflate", Coding.ZSTD),
        ("zstd;q=0.5, gzip", Coding.GZIP),
        ("zstd;q=0, gzip", Coding.GZIP),
        ("zstd;q=0.5, identity", Coding.IDENTITY),
        ("GZIP;q=0.5", Coding.GZIP),
        ("*", Coding.GZIP),
        ("x-gzip", Coding.GZIP),
        ("gzip;q=0, *", Coding.IDENTITY),
        ("gzip;q=0.5, identity", Coding.IDENTITY),
        ("br", Coding.IDENTITY),
        ("br, zstd", Coding.ZSTD),
    ],
)
def test_neg_10_packed_for_whoever_takes_it(accept_encoding: str | None, expected: Coding) -> None:
    """Pages are packed with zstd or gzip, unless the client likes plain bytes better."""
    assert coding(accept_encoding) is expected
