"""Where files of upstreams are kept, and what services share there."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from app.config import Settings
from app.main import create_app
from tests.factories import Made
from tests.routes.site import Site
from tests.servers.s3_small import small_store
from tests.servers.upstream import Asked, Sent, Upstream
from tests.serving import serving_ready
from tests.upstream.conftest import Start
from tests.upstream.sites import ask_alone, fetched, listed


def test_a_kept_file_is_handed_out_by_the_store(upstream: Upstream, start: Start) -> None:
    """By a presigned redirect, as ours are; the first request streamed it; rules hold before."""
    made = upstream.has("demo")
    with small_store() as store:
        behind: dict[str, Any] = {
            "storage": "s3://packages/index", "s3": store.options, "delivery": "redirect",
        }  # fmt: skip
        site = start(**behind)
        fetched(site, "demo", made)
        path = f"/files/demo/{made.filename}"
        deadline = time.monotonic() + 30
        while (answer := site.ask("GET", path)).status_code == 200:  # it is kept a moment after it
            assert time.monotonic() < deadline
        assert answer.status_code == 302
        assert "upstream/files/demo/" in answer.headers["location"]
        assert httpx.get(answer.headers["location"], trust_env=False).content == made.content
        head = site.ask("HEAD", path)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(made.content)))
        closed = start(**behind, rules={"quarantine": "demo"})
        assert closed.ask("GET", path).status_code == 403
    assert upstream.paths("/files/") == [path]


def test_replicas_share_pages_and_files(upstream: Upstream, start: Start, tmp_path: Path) -> None:
    """What one asked for the other need not; what one was told is absent, too."""
    made = upstream.has("demo")
    first, second = start(), start()
    for site in (first, second):
        assert set(listed(site, "demo")) == {made.filename}
        fetched(site, "demo", made)
        assert site.ask("GET", "/simple/nobodys/").status_code == 404
        for name in ("demo", "nobodys"):  # they are kept a moment after the answer
            deadline = time.monotonic() + 30
            while not (tmp_path / f"packages/upstream/upstream/pages/{name}.json").exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
    assert upstream.paths() == [
        "/simple/demo/", f"/files/demo/{made.filename}", "/simple/nobodys/",
    ]  # fmt: skip


def test_a_service_that_stops_in_the_middle_takes_no_file_with_it(
    upstream: Upstream, start: Start, big: Made, name: str, tmp_path: Path
) -> None:
    """Whoever asked it asks another one, which asks the upstream once more, and no oftener."""
    upstream.has(name, made=big)

    def slow(asked: Asked, sent: Sent) -> Sent:
        sent.after = 1.0 if "/files/" in asked.path else 0.0
        return sent

    upstream.fault = slow
    second = start()
    settings = Settings(
        storage=f"file:{tmp_path}/packages", cache="memory:", spool=tmp_path / "spool",
        access=f"sqlite+aiosqlite:///{tmp_path}/access.db", inspectors=1,
        default_read=frozenset({"everyone"}), default_fetch=frozenset({"everyone"}),
        fallback="cache", upstream=upstream.simple, delivery="stream",
    )  # fmt: skip
    path = f"/files/{name}/{big.filename}"

    def ask(urls: tuple[str, ...]) -> str:
        for url in urls:
            try:
                answer = ask_alone(f"{url}{path}")
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                return hashlib.sha256(answer.content).hexdigest()
        return "nothing"

    with ThreadPoolExecutor(24) as pool:
        with serving_ready(create_app(settings)) as first:
            readers = [pool.submit(ask, (first.url, second.url)) for _ in range(12)]
            readers += [pool.submit(ask, (second.url, first.url)) for _ in range(12)]
            while not upstream.paths(path):
                assert not all(reader.done() for reader in readers)
        assert {reader.result() for reader in readers} == {big.sha256}
    assert len(upstream.paths(path)) <= 2


def test_another_pypicloud_is_an_upstream(upstream: Upstream, start: Start, tmp_path: Path) -> None:
    """With what it has itself, and what its own upstreams have."""
    theirs = upstream.has("demo")
    inner = start()
    ours = inner.publish("ours")
    (tmp_path / "outer").mkdir()
    outer: Site = start(
        upstream=f"{inner.url}/simple/",
        storage=f"file:{tmp_path}/outer/packages",
        access=f"sqlite+aiosqlite:///{tmp_path}/outer/access.db",
    )
    for name, made in (("demo", theirs), ("ours", ours)):
        assert listed(outer, name)[made.filename]["hashes"]["sha256"] == made.sha256
        fetched(outer, name, made)
        assert outer.ask("GET", f"/files/{name}/{made.filename}.metadata").is_success
    assert outer.ask("GET", "/simple/nobodys/").status_code == 404
