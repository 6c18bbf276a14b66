"""The table of docs/upstreams.md, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.routes.site import Site
from tests.servers import upstream as upstreams
from tests.servers.upstream import Upstream
from tests.upstream.sites import JSON, site

READERS = frozenset({"user:reader", "user:fetcher"})
FETCHERS = frozenset({"user:fetcher"})
EVERYONE = frozenset({"everyone"})
THERE = 302
"""Listed here, and the file is sent for to the upstream."""
HERE = 200
"""Listed here, and the file comes from here."""

TABLE: dict[tuple[bool, bool, bool | None, str], tuple[int, int, int, int]] = {
    # ours, reads, fetches, who: none, redirect, cache, cache and always shown
    (False, False, None, "anonymous"): (401, 401, 401, 401),
    (False, False, None, "user"): (403, 403, 403, 403),
    (False, True, False, "anonymous"): (404, THERE, 401, 401),
    (False, True, False, "user"): (404, THERE, 404, THERE),
    (False, True, True, "anonymous"): (404, THERE, HERE, HERE),
    (False, True, True, "user"): (404, THERE, HERE, HERE),
    (True, False, None, "anonymous"): (401, 401, 401, 401),
    (True, False, None, "user"): (403, 403, 403, 403),
    (True, True, False, "anonymous"): (HERE, HERE, HERE, HERE),
    (True, True, True, "user"): (HERE, HERE, HERE, HERE),
}
MODES = {
    ("none", False): 0,
    ("none", True): 0,
    ("redirect", False): 1,
    ("redirect", True): 1,
    ("cache", False): 2,
    ("cache", True): 3,
    ("mirror", False): 2,
    ("mirror", True): 3,
}
"""Which column says what a policy does, with everything shown or not."""


@pytest.fixture(scope="module", params=MODES, ids=lambda mode: f"{mode[0]}-{mode[1]}")
def mode(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Upstream, dict[str, Site]]]:
    """The column, its upstream, and services by who may read and fetch there."""
    policy, always = request.param
    with upstreams.running() as upstream, ExitStack() as stack:
        for project in ("ours", "theirs"):
            upstream.has(project, "9.0")
        sites = {}
        for kind, read, fetch in (("closed", READERS, FETCHERS), ("open", EVERYONE, FETCHERS),
                                  ("free", EVERYONE, EVERYONE)):  # fmt: skip
            folder: Path = tmp_path_factory.mktemp(kind)
            made = stack.enter_context(
                site(
                    folder, upstream, policy, default_read=read, default_fetch=fetch,
                    always_show_upstream=always, storage="memory:",
                )
            )  # fmt: skip
            made.publish("ours")
            for name in ("reader", "fetcher", "stranger"):
                made.user(name)
            sites[kind] = made
        yield MODES[policy, always], upstream, sites


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_mode_table(
    mode: tuple[int, Upstream, dict[str, Site]], row: tuple[bool, bool, bool | None, str]
) -> None:
    """What everybody gets, page and file, and that nothing more was asked than that needs."""
    column, upstream, sites = mode
    ours, reads, fetches, who = row
    expected = TABLE[row][column]
    kind = "closed" if not reads or who == "user" else "free" if fetches else "open"
    name = "stranger" if not reads else "fetcher" if fetches else "reader"
    auth = None if who == "anonymous" else (name, "a fine long passphrase")
    asked_site = sites[kind]
    project = "ours" if ours else "theirs"
    filename = f"{project}-{'1.0' if ours else '9.0'}-py3-none-any.whl"
    before = len(upstream.asked)
    page = asked_site.ask("GET", f"/simple/{project}/", auth=auth, headers=JSON)
    file = asked_site.ask("GET", f"/files/{project}/{filename}", auth=auth)
    assert page.status_code == (200 if expected in (HERE, THERE) else expected)
    assert file.status_code == expected
    if page.status_code == 200:
        assert [one["filename"] for one in page.json()["files"]] == [filename]
    if expected == THERE:
        assert file.headers["location"].startswith(upstream.url)
    if ours or not reads or expected == 404:
        assert len(upstream.asked) == before
    assert upstream.paths("ours") == []
