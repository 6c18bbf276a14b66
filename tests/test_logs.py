"""Log lines: what stands in them, and what does not."""

from __future__ import annotations

import json
import logging
import logging.config
import sys

import pytest

from app import logs
from app.logs import Json, Plain, without_secrets
from tests.canary import SHOWN

TOKEN = "pypi-ppcu_" + "a1B2c3D4e5" * 5
BASIC = "YWRtaW46Y29ycmVjdCBob3JzZQ=="
SIGNATURE = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
SECRETS_OF_LOGS = [
    (f"GET /simple/ by {TOKEN}", TOKEN),
    (f"header Authorization: Basic {BASIC}", BASIC),
    (f"authorization: bearer {TOKEN}", TOKEN),
    ("cannot reach postgresql://index:hunter22@db/x", "hunter22"),
    (f"302 https://bucket.example/a?X-Amz-Date=1&X-Amz-Signature={SIGNATURE}", SIGNATURE),
    (f"https://account.example/c/a?sv=1&sig={SIGNATURE}&se=2", SIGNATURE),
    (f"https://store.example/a?X-Goog-Signature={SIGNATURE}", SIGNATURE),
    ("GET /login?password=hunter22&x=1", "hunter22"),
    (f"kept $argon2id$v=19$m=19456,t=2,p=1${SIGNATURE}", SIGNATURE),
    (f"cookie __Host-pypicloud={SIGNATURE}{SIGNATURE[:11]}; Path=/", SIGNATURE),
    (f"-----BEGIN PRIVATE KEY-----\n{SIGNATURE}\n-----END PRIVATE KEY-----", SIGNATURE),
    (f"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.{SIGNATURE}", SIGNATURE),
]


def record(
    message: str, *arguments: object, name: str = "app.test", **more: object
) -> logging.LogRecord:
    """A record as a logger makes it."""
    made = logging.LogRecord(name, logging.WARNING, __file__, 1, message, arguments, None)
    made.__dict__.update(more)
    return made


@pytest.mark.parametrize(("text", "secret"), SECRETS_OF_LOGS)
def test_what_looks_like_a_secret_is_struck_out(text: str, secret: str) -> None:
    """In whatever form of line, in its arguments and its exceptions too."""
    assert secret in text
    assert secret not in without_secrets(text)
    assert not SHOWN.search(without_secrets(text).encode())
    try:
        raise ValueError(text)
    except ValueError:
        failed = record("it failed: %s", text, extra=text)
        failed.exc_info = sys.exc_info()
    for formatter in (Plain(), Json()):
        line = formatter.format(failed)
        assert secret not in line
        assert "it failed" in line


@pytest.mark.parametrize(
    "text",
    [
        "GET /simple/demo/?format=application%2Fvnd.pypi.simple.v1%2Bjson",
        "https://pypi.example.com/files/demo/demo-1.0.tar.gz#sha256=00",
        "token of pypi-server, basic things, bearer of news",
        "user@example.com logged in from 10.0.0.1",
    ],
)
def test_nothing_else_is_struck_out(text: str) -> None:
    """Lines say what they said."""
    assert without_secrets(text) == text


def test_a_line_names_its_request() -> None:
    """Once, in either form; outside of a request there is no id."""
    assert "[" not in Plain().format(record("idle"))
    assert "request" not in json.loads(Json().format(record("idle")))
    token = logs.request.set("0123456789abcdef")
    try:
        assert Plain().format(record("a\nb")) == "WARNING  a [0123456789abcdef]\nb"
        named = record("request %s failed", "0123456789abcdef")
        assert Plain().format(named).count("0123456789abcdef") == 1
        assert json.loads(Json().format(record("busy")))["request"] == "0123456789abcdef"
    finally:
        logs.request.reset(token)


def test_an_access_has_its_parts() -> None:
    """Client, method, path and status by name."""
    parts = ("10.0.0.1:5", "GET", "/simple/?token=hunter22", "1.1", 200)
    access = record('%s - "%s %s HTTP/%s" %d', *parts, name="uvicorn.access")
    found = json.loads(Json().format(access))
    assert (found["client"], found["method"], found["status"]) == ("10.0.0.1:5", "GET", 200)
    assert found["path"] == f"/simple/?token={logs.STRUCK}"
    assert found["level"] == "warning"
    assert found["time"].endswith("+00:00")


@pytest.mark.parametrize("form", ["console", "json"])
def test_the_configuration_can_be_used(form: str) -> None:
    """By logging.config, for uvicorn's loggers and ours."""
    chosen = logs.configuration("warning", form)
    made = logging.config.DictConfigurator(chosen)
    formatter = made.configure_formatter(chosen["formatters"]["chosen"])
    assert isinstance(formatter, Json if form == "json" else Plain)
    assert {"app", "uvicorn.access", "uvicorn.error"} <= chosen["loggers"].keys()
