"""Who downloads: real User-Agents, and made-up ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.downloads import agents
from app.downloads.agents import OTHER, Agents, agent

PIP = (
    'pip/24.2 {"ci":null,"cpu":"x86_64","distro":{"id":"bookworm","libc":{"lib":"glibc",'
    '"version":"2.36"},"name":"Debian GNU/Linux","version":"12"},"implementation":'
    '{"name":"CPython","version":"3.12.4"},"installer":{"name":"pip","version":"24.2"},'
    '"openssl_version":"OpenSSL 3.0.13","python":"3.12.4","rustc_version":"1.80.0",'
    '"setuptools_version":"72.1.0","system":{"name":"Linux","release":"6.1.0"}}'
)
UV = (
    'uv/0.5.1 {"installer":{"name":"uv","version":"0.5.1"},"python":"3.13.0rc2","implementation":'
    '{"name":"CPython","version":"3.13.0rc2"},"distro":null,"system":{"name":"Darwin",'
    '"release":"23.5.0"},"cpu":"arm64","openssl_version":null,"ci":true}'
)


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (PIP, ("pip", "3.12")),
        (UV, ("uv", "3.13")),
        ("uv/0.5.1", ("uv", "")),
        ('uv/0.5.1 {"installer":{"name":"uv"},"python":null}', ("uv", "")),
        ('pip/9.0.3 {"implementation":{"name":"PyPy","version":"7.3"},"python":"2.7.18"}',
         ("pip", "2.7")),
        ("poetry/1.8.3 CPython/3.11.9 Linux/6.1.0-22-amd64", ("poetry", "3.11")),
        ("Poetry/2.0 PyPy/3.10.14 Windows/10", ("poetry", "3.10")),
        ("pdm/2.17.1 CPython/3.12.3 Linux/6.8", ("pdm", "3.12")),
        ("twine/5.1.1 pkginfo/1.11 requests/2.32.3 CPython/3.12.4", ("twine", "3.12")),
        ("bandersnatch/6.5.0 (cpython 3.11.2-final0, Linux 6.1 x86_64) (aiohttp 3.9.1)",
         ("bandersnatch", "3.11")),
        ("pipenv/2024.0.1", ("pipenv", "")),
        ("python-requests/2.32.3", ("requests", "")),
        ("python-httpx/0.27.0", ("httpx", "")),
        ("Python-urllib/3.12", ("urllib", "")),
        ("curl/8.5.0", ("curl", "")),
        ("Wget/1.21.4", ("wget", "")),
        ("devpi-server/6.12.1 (py3.11.2; linux)", ("devpi", "")),
        ("Artifactory/7.77.5 77705900", ("artifactory", "")),
        ("Nexus/3.70.1-02 (OSS; Linux; 6.1; amd64; 17.0.11)", ("nexus", "")),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
         ("browser", "")),
        ("Mozilla/5.0 Python/3.9", ("browser", "")),
        ("", OTHER),
        ("pip", OTHER),
        ("/pip/24.2", OTHER),
        ("conan/2.0", OTHER),
        ("tool with spaces/1", OTHER),
        ("x" * 40 + "/1", OTHER),
        ('pip/24.2 {"python":"3.12.4"', ("pip", "")),
        ('pip/24.2 {"python":3.12}', ("pip", "")),
        ('pip/24.2 {"python":["3.12"]}', ("pip", "")),
        ('pip/24.2 {"python":"4.0"}', ("pip", "")),
        ('pip/24.2 {"python":"3.123"}', ("pip", "")),
        ('pip/24.2 {"python":"<script>"}', ("pip", "")),
        ('pip/24.2 {"x":{"python":"3.9.1"}}', ("pip", "")),
        ('pip/24.2 {"x":"' + "y" * 2000 + '","python":"3.12"}', ("pip", "")),
        ('pip/24.2 ' + "[" * 900, ("pip", "")),
        ('pip/24.2 {"x":' + "[" * 900, ("pip", "")),
        ("pip/24.2 {\xff\xfe}", ("pip", "")),
    ],
)  # fmt: skip
def test_who_that_is(sent: str, found: tuple[str, str]) -> None:
    """By the first product; the Python where it is one that there may be."""
    assert agent(sent.encode("latin-1")) == found


@given(st.binary(max_size=2000) | st.text().map(lambda text: f"pip/1 {text}".encode()))
def test_nothing_that_is_sent_is_an_error(sent: bytes) -> None:
    """Whatever it is, somebody known or other says it."""
    installer, python = agent(sent)
    assert installer in {*agents._TOOLS.values(), "other"}
    assert len(python) <= 4


def test_what_was_said_before_is_known() -> None:
    """The second time it is a look-up."""
    known = Agents()
    assert known.get(b"curl/8.5.0") is None
    assert known.learn(b"curl/8.5.0") == known.get(b"curl/8.5.0") == ("curl", "")


def test_what_is_remembered_is_bounded() -> None:
    """In number, and nothing long is remembered at all."""
    known = Agents()
    long = b"pip/24.2 " + json.dumps({"x": "y" * 5000}).encode()
    assert known.learn(long) == ("pip", "")
    assert known.get(long) is None
    for number in range(agents.REMEMBERED + 10):
        known.learn(b"curl/%d" % number)
    assert len(known._known) <= agents.REMEMBERED
