"""Traces, as a real collector gets them from ``pypicloud serve``."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app import config, errors
from app.config import Settings
from app.main import create_app
from app.storage.memory import MemoryStorage
from app.traces import opened
from app.traces.options import TracesOptions
from app.traces.traced import traced
from tests.factories import form, make_wheel
from tests.processes import PASSWORD, Running, running
from tests.servers import upstream as upstreams
from tests.servers.upstream import Listed, Upstream
from tests.serving import serving_ready
from tests.traces.collector import Collector, collecting

ADMIN = ("admin", PASSWORD)
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
KEY = "collector-key-6d1f0c5e"
QUERY = "sought-by-nobody-else"


@dataclass(frozen=True)
class Traced:
    """A service, its collector, its upstream, and who asks."""

    service: Running
    collector: Collector
    upstream: Upstream
    client: httpx.Client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """A service that traces everything and trusts no proxy."""
    with (
        collecting() as collector,
        upstreams.running() as upstream,
        running(
            tmp_path_factory.mktemp("traced"),
            TRACES__ENDPOINT=collector.url,
            TRACES__HEADERS=f"x-key={KEY},x-team=index",
            FALLBACK="cache",
            UPSTREAM=f"{upstream.url}/simple/",
        ) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        yield Traced(service, collector, upstream, client)


def publish(site: Traced, name: str) -> httpx.Response:
    """Upload a wheel."""
    made = make_wheel(name, "1.0")
    fields = form(made, name, "1.0")
    return site.client.post("/legacy/", data=fields, files={"content": made}, auth=ADMIN)


def test_a_request_and_what_it_asks_are_one_trace(site: Traced) -> None:
    """The request by its route's template; below it storage, cache and access."""
    answer = publish(site, "traced-upload")
    assert answer.status_code == 200
    span = site.collector.named("POST /legacy/")
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/legacy/",
        "http.response.status_code": 200,
        "pypicloud.request_id": answer.headers["x-request-id"],
    }
    assert span.parent == ""
    below = site.collector.below(span)
    assert {"storage.put", "storage.create", "cache.save", "access.grants"} <= below
    inner = next(one for one in site.collector.spans if one.name == "storage.put")
    assert inner.trace == span.trace
    assert inner.attributes["pypicloud.outcome"] == "ok"


def test_an_upstream_that_is_asked_stands_in_the_trace(site: Traced) -> None:
    """And one that does not answer as an error, by its class alone."""
    made = make_wheel("traced-elsewhere", "1.0")
    site.upstream.projects["traced-elsewhere"] = {made.filename: Listed(made)}
    assert site.client.get("/simple/traced-elsewhere/", auth=ADMIN).status_code == 200
    span = site.collector.named("GET /simple/{project}/")
    assert any(name.startswith("upstream.") for name in site.collector.below(span))


def test_no_secret_path_or_query_is_in_any_span(site: Traced) -> None:
    """Whatever was sent: the collector's every byte is looked through."""
    made = publish(site, "traced-secret")
    assert made.status_code == 200
    site.client.get("/api/v1/projects", params={"query": QUERY}, auth=ADMIN)
    site.client.get("/simple/no-such-project-here/", auth=("admin", "a wrong password"))
    site.client.get(f"/no/such/path/{QUERY}?token=pypi-{'x' * 50}")
    site.client.request("PROPFIND", "/nowhere-at-all/")
    site.collector.named("GET /api/v1/projects")
    site.collector.named("_OTHER")
    raw = bytes(site.collector.raw).decode("latin-1")
    for hidden in (PASSWORD, "a wrong password", QUERY, "traced-secret", "no-such-project", KEY):
        assert hidden not in raw, hidden
    for hidden in ("pypi-", "Authorization", "127.0.0.1", "PROPFIND", "/no/such", "nowhere"):
        assert hidden not in raw, hidden


def test_the_collector_is_told_who_sends(site: Traced) -> None:
    """Its headers, and the service by name and version."""
    assert publish(site, "traced-resource").status_code == 200
    site.collector.named("POST /legacy/")
    assert site.collector.headers[0]["x-key"] == KEY
    assert site.collector.headers[0]["x-team"] == "index"
    assert site.collector.resources[0]["service.name"] == "pypicloud"
    assert site.collector.resources[0]["service.version"]


def test_nobody_but_a_trusted_proxy_says_where_a_request_belongs(
    site: Traced, tmp_path: Path
) -> None:
    """From a client the header is not believed; from a trusted address its trace goes on."""
    site.client.get("/pypi/x/json", headers={"traceparent": TRACEPARENT}, auth=ADMIN)
    assert site.collector.named("GET /pypi/{project}/json").trace != TRACE
    with (
        collecting() as collector,
        running(
            tmp_path,
            TRACES__ENDPOINT=collector.url,
            TRACES__SAMPLE="0",
            TRUSTED_PROXIES="127.0.0.1",
        ) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        client.get("/pypi/x/json", headers={"traceparent": TRACEPARENT})
        span = collector.named("GET /pypi/{project}/json")
        assert (span.trace, span.parent) == (TRACE, PARENT)
        twice = [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)]
        client.get("/pypi/y/json", headers=twice)
        client.get("/pypi/z/json", headers=[(b"traceparent", b"00-nonsense-\xff-01")])
        client.get("/pypi/w/json")
    assert len([one for one in collector.spans if one.parent in ("", PARENT)]) == 1  # sample is 0


def test_a_collector_that_is_away_costs_nobody_anything(tmp_path: Path) -> None:
    """Requests are answered, the service ends in time, and no traceback is logged."""
    with (
        running(tmp_path, TRACES__ENDPOINT="http://127.0.0.1:9", TRACES__TIMEOUT="1 s") as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        for _ in range(3):
            assert client.get("/simple/").status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENDPOINT", "http://user:secret-word@127.0.0.1:4318"),
        ("ENDPOINT", "http://127.0.0.1:4318/v1/traces?key=secret-word"),
        ("ENDPOINT", "ftp://127.0.0.1"),
        ("HEADERS", "secret-word"),
        ("SAMPLE", "1.5"),
        ("NAME", "two words"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In one line, without the value."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"PYPICLOUD_TRACES__{name}", value)
    with pytest.raises(errors.Misconfigured, match=f"PYPICLOUD_TRACES__{name}: ") as refused:
        config.load()
    assert "secret-word" not in str(refused.value)


def test_endpoints_are_completed() -> None:
    """A collector alone gets OTLP's path; whoever names a path means it."""
    for given, meant in (
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://traces.example.com/otlp", "https://traces.example.com/otlp"),
    ):
        assert TracesOptions(endpoint=given).endpoint == meant


async def test_off_nothing_is_in_the_way(tmp_path: Path) -> None:
    """Backends are themselves, and OpenTelemetry's SDK is not imported."""
    async with opened(TracesOptions()) as traces:
        storage = MemoryStorage()
        assert traced(storage, "storage", traces, frozenset({"put"}), frozenset()) is storage
    script = (
        "import asyncio, sys\n"
        "from app.config import Settings\n"
        "from contextlib import AsyncExitStack\n"
        "from app.opening import open_state\n"
        "async def main():\n"
        "    async with AsyncExitStack() as stack:\n"
        "        await open_state(Settings(storage='memory:', cache='memory:',"
        " access='sqlite+aiosqlite:///access.db'), stack)\n"
        "asyncio.run(main())\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    told, _ = await child.communicate()
    assert child.returncode == 0
    assert json.loads(told.decode().splitlines()[-1]) == []


async def test_without_the_extra_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, which names the extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "app.traces.otlp", raising=False)
    with pytest.raises(errors.Misconfigured, match=r"pypicloud\[traces\]"):
        async with opened(TracesOptions(endpoint="http://127.0.0.1:4318")):
            pass


def asked_again(client: httpx.Client, project: str) -> list[httpx.Response]:
    """A page until it was at hand; every answer."""
    return [client.get(f"/simple/{project}/", auth=ADMIN) for _ in range(5)]


def test_answers_that_are_at_hand_are_traced(site: Traced) -> None:
    """Each by its route, with its request's id, also when two come in one packet."""
    assert publish(site, "traced-hot").status_code == 200
    ids = {answer.headers["x-request-id"] for answer in asked_again(site.client, "traced-hot")}
    spans = site.collector.of_requests(ids)
    assert {span.name for span in spans} == {"GET /simple/{project}/"}
    hot = [span for span in spans if "pypicloud.hot" in span.attributes]
    assert len(hot) >= 3
    assert hot[0].attributes == {
        "http.request.method": "GET",
        "http.route": "/simple/{project}/",
        "http.response.status_code": 200,
        "pypicloud.request_id": hot[0].attributes["pypicloud.request_id"],
        "pypicloud.hot": 1,
    }
    assert {span.parent for span in hot} == {""}
    assert len({span.trace for span in spans}) == len(spans)
    with socket.create_connection(("127.0.0.1", site.service.port), timeout=30) as connected:
        basic = base64.b64encode(":".join(ADMIN).encode()).decode()
        head = (
            f"GET /simple/traced-hot/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {basic}\r\n\r\n"
        )
        for packet in (head, head, head + head):
            connected.sendall(packet.encode())
            received = b""
            while received.count(b"</html>") < packet.count("GET"):
                received += connected.recv(65536)
        ids = {found.decode() for found in re.findall(rb"x-request-id: ([0-9a-f]+)", received)}
    assert len(ids) == 2
    assert all("pypicloud.hot" in span.attributes for span in site.collector.of_requests(ids))


def test_a_share_of_none_traces_nothing_at_hand_and_a_trusted_trace_goes_on(
    tmp_path: Path,
) -> None:
    """A page at hand is no way around the share, nor around the proxy's trace."""
    with (
        collecting() as collector,
        running(
            tmp_path,
            TRACES__ENDPOINT=collector.url,
            TRACES__SAMPLE="0",
            TRUSTED_PROXIES="127.0.0.1",
        ) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        made = make_wheel("shared", "1.0")
        sent = {"content": made}
        client.post("/legacy/", data=form(made, "shared", "1.0"), files=sent, auth=ADMIN)
        asked_again(client, "shared")
        client.get("/simple/shared/", auth=ADMIN, headers={"traceparent": TRACEPARENT})
        span = collector.named("GET /simple/{project}/")
        assert (span.trace, span.parent) == (TRACE, PARENT)
    assert [one for one in collector.spans if one.trace != TRACE] == []


def test_plain_asgi_traces_what_is_at_hand_as_well(tmp_path: Path) -> None:
    """Another server gives the same span."""
    with collecting() as collector:
        settings = Settings(
            storage="memory:",
            cache="memory:",
            access=f"sqlite+aiosqlite:///{tmp_path}/access.db",
            admin_password=SecretStr(PASSWORD),
            spool=tmp_path / "spool",
            traces=TracesOptions(endpoint=collector.url),
        )
        with (
            serving_ready(create_app(settings), protocol=HttpToolsProtocol) as served,
            httpx.Client(base_url=served.url, trust_env=False, timeout=60) as client,
        ):
            made = make_wheel("plain", "1.0")
            sent = {"content": made}
            client.post("/legacy/", data=form(made, "plain", "1.0"), files=sent, auth=ADMIN)
            ids = {answer.headers["x-request-id"] for answer in asked_again(client, "plain")}
        spans = collector.of_requests(ids)
    assert {span.name for span in spans} == {"GET /simple/{project}/"}
    assert sum("pypicloud.hot" in span.attributes for span in spans) >= 2
