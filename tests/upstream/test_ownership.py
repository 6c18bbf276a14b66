"""Names of ours are never asked of an upstream, and never answered by one (T01, I8)."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ADMIN
from tests.factories import make_wheel
from tests.routes.site import Site
from tests.servers.redis import ask as redis_ask
from tests.servers.redis import own_redis
from tests.servers.upstream import Asked, Sent, Upstream
from tests.upstream.conftest import Start
from tests.upstream.sites import ask_alone, fetched, listed

Losing = Callable[[], object]
SPELLINGS = ("acme-tool", "Acme_Tool", "acme.tool", "ACME--TOOL")


THEIRS = re.compile(rb"(?<!\d)9\.0(?!\d)")
"""The upstream's version, which no time ends with."""


def doors(name: str, filename: str) -> list[str]:
    """Every door that knows projects."""
    return [
        f"/simple/{name}/",
        f"/simple/{name}",
        f"/legacy/+simple/{name}/",
        f"/files/{name}/{filename}",
        f"/files/{name}/{filename}.metadata",
        f"/pypi/{name}/json",
        f"/pypi/{name}/9.0/json",
        f"/integrity/{name}/9.0/{filename}/provenance",
        f"/api/v1/projects/{name}",
    ]


def knock(site: Site, name: str, auth: Any = None) -> list[httpx.Response]:
    """Ask at every door in every spelling for a file that only the upstream has."""
    return [
        site.ask(method, door, auth=auth, follow_redirects=True)
        for spelling in SPELLINGS
        for door in doors(spelling, "acme_tool-9.0-py3-none-any.whl")
        for method in (("GET", "HEAD") if spelling == SPELLINGS[0] else ("GET",))
    ]


def asked_of(upstream: Upstream) -> list[str]:
    """What the upstream heard of the private name."""
    return [path for path in upstream.paths() if "acme" in path.lower()]


@pytest.mark.parametrize("policy", ["redirect", "mirror"])
def test_a_name_that_was_uploaded_is_ours(upstream: Upstream, start: Start, policy: str) -> None:
    """At any door, in any spelling; after its deletion too; whoever asks."""
    upstream.has("acme-tool", "9.0")
    site = start(policy, always_show_upstream=True)
    site.publish("acme-tool")
    assert "acme_tool-9.0-py3-none-any.whl" not in listed(site, "acme-tool")
    for auth in (None, ADMIN):
        told = [a for a in knock(site, "acme-tool", auth) if not a.is_error]
        assert not [a.text for a in told if THEIRS.search(a.content)]
    site.ask("DELETE", "/api/v1/projects/acme-tool/files/acme_tool-1.0-py3-none-any.whl",
             auth=ADMIN)  # fmt: skip
    knock(site, "acme-tool", ADMIN)
    assert site.ask("DELETE", "/api/v1/projects/acme-tool", auth=ADMIN).status_code < 300
    assert all(answer.status_code in (404, 405) for answer in knock(site, "acme-tool", ADMIN))
    assert asked_of(upstream) == []


def test_a_name_that_is_reserved_is_ours(upstream: Upstream, start: Start) -> None:
    """By pattern, though nobody ever uploaded it."""
    upstream.has("acme-tool", "9.0")
    site = start("cache", rules={"reserved": ("Acme_*",), "shared": ("*",), "released": ("*",)})
    assert all(answer.status_code in (404, 405) for answer in knock(site, "acme-tool", ADMIN))
    assert asked_of(upstream) == []


def test_a_name_that_an_admin_released_is_the_upstreams(upstream: Upstream, start: Start) -> None:
    """Once it is deleted here; while it is not, it stays ours."""
    made = upstream.has("acme-tool", "9.0")
    site = start("cache", rules={"released": ("acme-tool",)})
    site.publish("acme-tool")
    knock(site, "acme-tool", ADMIN)
    assert asked_of(upstream) == []
    site.ask("DELETE", "/api/v1/projects/acme-tool", auth=ADMIN)
    assert set(listed(site, "acme-tool")) == {made.filename}


def test_a_shared_name_shows_both_and_ours_win(upstream: Upstream, start: Start) -> None:
    """An admin chose to; of two files of one name ours is shown, also once it is deleted."""
    theirs = upstream.has("acme-tool", "9.0")
    upstream.has("acme-tool", "1.0", made=make_wheel("acme-tool", "1.0", summary="a stranger's"))
    site = start("cache", rules={"shared": ("acme-tool",)})
    ours = site.publish("acme-tool")
    assert {name: one["hashes"]["sha256"] for name, one in listed(site, "acme-tool").items()} == {
        ours.filename: ours.sha256,
        theirs.filename: theirs.sha256,
    }
    fetched(site, "acme-tool", ours)
    fetched(site, "acme-tool", theirs)
    site.ask("DELETE", f"/api/v1/projects/acme-tool/files/{ours.filename}", auth=ADMIN)
    assert set(listed(site, "acme-tool")) == {theirs.filename}
    assert site.ask("GET", f"/files/acme-tool/{ours.filename}").status_code == 404


@pytest.mark.parametrize("policy", ["redirect", "cache"])
def test_nothing_is_sent_for_who_may_not_read(
    upstream: Upstream, start: Start, policy: str
) -> None:
    """The anonymous get 401, others 403: for names of ours, of upstreams and of nobody alike."""
    upstream.has("acme-tool", "9.0")
    readers = frozenset({"user:reader"})
    site = start(policy, default_read=readers, default_fetch=readers, always_show_upstream=True)
    site.publish("ours")
    stranger = site.user("stranger")
    for name in ("ours", "acme-tool", "nobodys"):
        for auth, status in ((None, 401), (stranger, 403)):
            for path in (f"/simple/{name}/", f"/files/{name}/{name}-9.0.tar.gz"):
                assert site.ask("GET", path, auth=auth).status_code == status
    assert upstream.paths() == []


@pytest.fixture(params=["emptied", "dropped", "redis"])
def losing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Losing]]:
    """A cache, and how it loses all that it knows."""
    if request.param == "redis":
        (tmp_path / "redis").mkdir()
        with own_redis(tmp_path / "redis") as redis:
            yield (
                f"redis://127.0.0.1:{redis.port}/0?timeout=5",
                lambda: redis_ask(redis.port, "FLUSHALL"),
            )
        return
    verb = "DELETE FROM" if request.param == "emptied" else "DROP TABLE"

    def lose() -> None:
        with closing(sqlite3.connect(tmp_path / "cache.db", timeout=30)) as cache, cache:
            every = "SELECT name FROM sqlite_master WHERE type = 'table'"
            for (table,) in cache.execute(every).fetchall():
                if not table.startswith("sqlite_"):
                    cache.execute(f'{verb} "{table}"')

    yield f"sqlite+aiosqlite:///{tmp_path}/cache.db", lose


def test_while_the_cache_is_cold_nobody_is_asked(
    upstream: Upstream, start: Start, losing: tuple[str, Losing]
) -> None:
    """Not knowing is 503; once the journal was read again, the name is ours again."""
    upstream.has("acme-tool", "9.0")
    cache, lose = losing
    site = start("cache", cache=cache)
    made = site.publish("acme-tool")
    lose()
    for _ in range(2):
        assert {answer.status_code for answer in knock(site, "acme-tool", ADMIN)} <= {
            200, 404, 405, 503,
        }  # fmt: skip
    deadline = time.monotonic() + 60
    while (answer := site.ask("GET", "/simple/acme-tool/")).status_code != 200:
        assert (answer.status_code, time.monotonic() < deadline) == (503, True)
        time.sleep(0.1)
    assert set(listed(site, "acme-tool")) == {made.filename}
    assert asked_of(upstream) == []


def test_a_journal_that_the_cache_does_not_know_is_heeded(
    upstream: Upstream, start: Start, tmp_path: Path
) -> None:
    """A name that another process claimed a moment ago answers 503, not with strangers' files."""
    upstream.has("acme-tool", "9.0")
    site = start("cache")
    site.publish("other")
    journal = tmp_path / "packages" / "journal"
    shutil.copytree(journal / "other", journal / "acme-tool")
    assert site.ask("GET", "/simple/acme-tool/").status_code == 503
    assert asked_of(upstream) == []


def test_the_first_upload_ends_what_an_upstream_showed(upstream: Upstream, start: Start) -> None:
    """Readers who race with it see the upstream's page or ours; afterwards ours alone."""
    upstream.has("acme-tool", "9.0")

    def slow(asked: Asked, sent: Sent) -> Sent:
        sent.after = 0.2
        return sent

    upstream.fault = slow
    site = start("cache")
    made = make_wheel("acme-tool", "1.0")

    def read(_: int) -> httpx.Response:
        return ask_alone(f"{site.url}/simple/acme-tool/")

    with ThreadPoolExecutor(51) as pool:
        readers = [pool.submit(read, n) for n in range(50)]
        uploaded = pool.submit(site.upload, made, "acme-tool", auth=ADMIN)
        assert uploaded.result().status_code == 200
        asked = len(upstream.asked)
        assert set(listed(site, "acme-tool")) == {made.filename}
        assert {reader.result().status_code for reader in readers} <= {200, 404, 503}
    for _ in range(5):
        assert set(listed(site, "acme-tool")) == {made.filename}
    assert len(upstream.asked) <= asked + 1  # one was on its way
    assert site.ask("GET", "/files/acme-tool/acme_tool-9.0-py3-none-any.whl").status_code == 404
