"""An upstream that fails in every way: what is known still installs, nothing wrong is kept."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.projects import Release
from tests.e2e.sandbox import Finished, Sandbox
from tests.e2e.server import Server, serve
from tests.factories import Made
from tests.servers import upstream as upstreams
from tests.servers.upstream import Asked, Sent, Upstream

pytestmark = pytest.mark.e2e

KNOWN = "world-known"
JSON_TYPE = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
PATIENCE = 60.0


def answering(status: int = 200, body: bytes = b"", **more: object) -> Callable[[Sent], Sent]:
    """Always this."""
    return lambda sent: Sent(status, body, **more)  # type: ignore[arg-type]  # as Sent has them


def cut(sent: Sent) -> Sent:
    """Half of it."""
    sent.cut = len(sent.body) // 2
    return sent


def hanging(sent: Sent) -> Sent:
    """Silent for longer than the service waits."""
    sent.after = 2.5
    return sent


def slow(sent: Sent) -> Sent:
    """Late, but in time."""
    sent.after = 0.5
    return sent


EVERYTHING: dict[str, Callable[[Sent], Sent]] = {
    "500": answering(500),
    "503": answering(503, headers={"Retry-After": "60"}),
    "429": answering(429, headers={"Retry-After": "60"}),
    "403": answering(403, b"no"),
    "HTML with 200": answering(body=b"<html>hello", headers={"Content-Type": "text/html"}),
    "garbage JSON": answering(body=b'{"files": [{]', headers=JSON_TYPE),
    "another project": answering(
        body=b'{"meta":{"api-version":"1.0"},"name":"other","files":[]}', headers=JSON_TYPE
    ),
    "truncated": cut,
    "loopback": answering(302, headers={"Location": "http://127.0.0.1:1/simple/"}),
    "a metadata address": answering(302, headers={"Location": "http://169.254.169.254/latest"}),
    "hang": hanging,
}
if not os.environ.get("SOAK"):  # each leaves the breaker open, which takes a while
    EVERYTHING = {
        fault: EVERYTHING[fault]
        for fault in ("500", "HTML with 200", "garbage JSON", "truncated", "hang")
    }
FILES: dict[str, Callable[[Sent], Sent]] = {
    "truncated": cut,
    "wrong hash": lambda sent: Sent(body=b"x" + sent.body[1:]),
    "too short": lambda sent: Sent(body=sent.body[:-1]),
    "too long": lambda sent: Sent(body=sent.body + b"x"),
    "HTML with 200": answering(body=b"<html>hello", headers={"Content-Type": "text/html"}),
    "404": answering(404),
    "a metadata address": answering(302, headers={"Location": "http://169.254.169.254/latest"}),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Pages of it are stale at once, so that it is asked again and again."""
    with upstreams.running(headers={"Cache-Control": "max-age=0"}) as found:
        yield found


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Server]:
    """Falls back on it, and knows one project of it, with its file."""
    one = {"name": "world", "url": upstream.simple, "timeout": "1 s", "idle": "1 s"}
    variables = {"PYPICLOUD_UPSTREAMS": json.dumps([one]), "PYPICLOUD_DEFAULT_FETCH": "everyone"}
    made = upstream.has(KNOWN, made=Release(name=KNOWN).wheel())
    with serve(tmp_path_factory.mktemp("faults"), read="everyone", variables=variables) as server:
        until(server, f"/simple/{KNOWN}/")
        until(server, f"/files/{KNOWN}/{made.filename}")
        until(server, f"/files/{KNOWN}/{made.filename}.metadata")
        yield server


def get(index: Server, path: str) -> httpx.Response:
    """Ask as an installer does."""
    return httpx.get(
        f"{index.url}{path}",
        headers={"Accept": JSON_TYPE["Content-Type"]}, trust_env=False, verify=False, timeout=30,
    )  # fmt: skip


def until(index: Server, path: str) -> httpx.Response:
    """Ask until it comes: an upstream that failed is left alone for a while."""
    deadline = time.monotonic() + PATIENCE
    while (answer := get(index, path)).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer


def pip(sandbox: Sandbox, index: Server, name: str) -> Finished:
    """Have pip resolve it and fetch its file."""
    more = ("--no-cache-dir", "--retries", "0", "--dest", sandbox.folder / "pip")
    return sandbox.run("pip", "download", *more, "--index-url", index.simple, name)


def uv(sandbox: Sandbox, index: Server, name: str) -> Finished:
    """Have uv install it."""
    more = ("--no-cache", "--target", sandbox.folder / "uv", "--reinstall")
    return sandbox.run(
        "uv", "pip", "install", *more, "--default-index", index.simple, name, UV_HTTP_RETRIES="0"
    )


def require_known_installs(sandbox: Sandbox, index: Server) -> None:
    """With both clients."""
    for install in (pip, uv):
        finished = install(sandbox, index, KNOWN)
        assert finished.status == 0, str(finished)


def require_right(index: Server, upstream: Upstream) -> None:
    """Every file that is kept has the bytes that a page once listed."""
    said = {
        filename: listed.made.sha256
        for files in upstream.projects.values()
        for filename, listed in files.items()
    }
    kept = list((index.folder / "packages/upstream/files").rglob("*.whl"))
    assert kept
    for path in kept:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == said[path.name], path


def spelled(fault: str) -> str:
    """A project for a fault."""
    return f"world-{fault.replace(' ', '-').lower()}"


@pytest.mark.parametrize("fault", EVERYTHING)
def test_an_upstream_that_fails_at_everything(
    sandbox: Sandbox, index: Server, upstream: Upstream, fault: str
) -> None:
    """What is known installs; what is not is 503, never 404, and comes once it is well again."""
    name = spelled(fault)
    made = upstream.has(name, made=Release(name=name).wheel())
    upstream.fault = lambda asked, sent: EVERYTHING[fault](sent)
    try:
        require_known_installs(sandbox, index)
        for path in (f"/simple/{name}/", f"/files/{name}/{made.filename}", f"/pypi/{name}/json"):
            assert get(index, path).status_code in (502, 503), path
        for install in (pip, uv):
            assert install(sandbox, index, name).status != 0
    finally:
        upstream.fault = None
    require_comes(sandbox, index, upstream, name, made)


@pytest.mark.parametrize("fault", FILES)
def test_an_upstream_whose_files_are_wrong(
    sandbox: Sandbox, index: Server, upstream: Upstream, fault: str
) -> None:
    """No client is given them, and the right ones come once it sends them."""
    name = spelled(f"file {fault}")
    made = upstream.has(name, made=Release(name=name).wheel())

    def wrong(asked: Asked, sent: Sent) -> Sent:
        return FILES[fault](sent) if "/files/" in asked.path else sent

    upstream.fault = wrong
    try:
        require_known_installs(sandbox, index)
        assert get(index, f"/simple/{name}/").status_code == 200
        for install in (pip, uv):
            finished = install(sandbox, index, name)
            assert finished.status != 0, str(finished)
        assert not list((sandbox.folder / "pip").glob(f"{name.replace('-', '_')}*"))
    finally:
        upstream.fault = None
    require_comes(sandbox, index, upstream, name, made)


def require_comes(
    sandbox: Sandbox, index: Server, upstream: Upstream, name: str, made: Made
) -> None:
    """All is well again."""
    until(index, f"/simple/{name}/")
    assert until(index, f"/files/{name}/{made.filename}").content == made.content
    assert uv(sandbox, index, name).status == 0
    require_right(index, upstream)


def test_a_slow_upstream_is_waited_for(sandbox: Sandbox, index: Server, upstream: Upstream) -> None:
    """By both clients, for what nobody knew."""
    for install in (pip, uv):
        name = f"world-slow-{install.__name__}"
        upstream.has(name, made=Release(name=name).wheel())
        upstream.fault = lambda asked, sent: slow(sent)
        try:
            finished = install(sandbox, index, name)
        finally:
            upstream.fault = None
        assert finished.status == 0, str(finished)


def test_bytes_that_change_and_an_index_that_shrinks(
    sandbox: Sandbox, index: Server, upstream: Upstream
) -> None:
    """What was installed yesterday is installed today, with the same bytes."""
    old = upstream.projects[KNOWN]
    first = next(iter(old.values())).made
    other = Release(name=KNOWN, requires=("world-evil",)).wheel()
    assert (other.filename, other.sha256 == first.sha256) == (first.filename, False)
    try:
        for changed in ({other.filename: upstreams.Listed(other)}, {}):
            upstream.projects[KNOWN] = changed
            time.sleep(0.5)
            require_known_installs(sandbox, index)
            path: Path = sandbox.folder / "pip" / first.filename
            assert hashlib.sha256(path.read_bytes()).hexdigest() == first.sha256
    finally:
        upstream.projects[KNOWN] = old
    require_right(index, upstream)
