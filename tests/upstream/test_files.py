"""Files of upstreams: fetched once, verified, kept, and never replaced (I10)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.factories import Made, make_wheel
from tests.routes.site import Site
from tests.servers.upstream import Asked, Fault, Sent, Upstream, core_metadata
from tests.upstream.conftest import SOAK, Start
from tests.upstream.sites import AGAIN, JSON, fetched, hashed, listed, trail

BIG = make_wheel("big", "1.0", files={"big.bin": os.urandom(3 * 2**20)})
SITE_FILE = f"/files/big/{BIG.filename}"
NOISE = os.urandom(2**18)
ELSEWHERE = "http://169.254.169.254/latest"
WRONG: dict[str, Callable[[Sent], Sent]] = {
    "cut at once": lambda sent: Sent(body=sent.body, cut=0),
    "cut after a byte": lambda sent: Sent(body=sent.body, cut=1),
    "cut in the middle": lambda sent: Sent(body=sent.body, cut=2**17),
    "cut at last": lambda sent: Sent(body=sent.body, cut=len(sent.body) - 1),
    "too short": lambda sent: Sent(body=sent.body[:-1]),
    "too long": lambda sent: Sent(body=sent.body + b"x"),
    "first byte": lambda sent: Sent(body=b"x" + sent.body[1:]),
    "last byte": lambda sent: Sent(body=sent.body[:-1] + b"x"),
    "another page": lambda sent: Sent(body=b"<html>hello"),
    "500": lambda sent: Sent(500),
    "404": lambda sent: Sent(404),
    "403": lambda sent: Sent(403),
    "429": lambda sent: Sent(429, headers={"Retry-After": "1"}),
    "loopback": lambda sent: Sent(302, headers={"Location": "http://127.0.0.1:1/x.whl"}),
    "metadata address": lambda sent: Sent(302, headers={"Location": ELSEWHERE}),
    "in circles": lambda sent: Sent(302, headers={"Location": SITE_FILE}),
}


def only(part: str, change: Any) -> Fault:
    """A fault of the requests whose path holds ``part``."""

    def fault(asked: Asked, sent: Sent) -> Sent:
        if part not in asked.path or asked.path.endswith(".metadata"):
            return sent
        changed: Sent = change(sent)
        return changed

    return fault


def test_a_file_comes_once_and_is_kept(upstream: Upstream, start: Start) -> None:
    """Also for whoever asks when the upstream is gone, and after a restart."""
    upstream.has("big", made=BIG)
    site = start()
    listed(site, "big")
    for _ in range(3):
        fetched(site, "big", BIG)
    upstream.fault = lambda asked, sent: Sent(500)
    fetched(site, "big", BIG)
    again = start()
    assert set(listed(again, "big")) == {BIG.filename}
    fetched(again, "big", BIG)
    assert upstream.paths("/files/") == [SITE_FILE]


def test_ranges_and_head_of_a_file_that_is_not_here_yet(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """As of one that is."""
    for number, range in enumerate(("bytes=0-9", "bytes=1000-1999", "bytes=-5", "bytes=200000-")):
        project = f"{name}-{number}"
        made = upstream.has(project, made=make_wheel(project, "1.0", files={"big.bin": NOISE}))
        path = f"/files/{project}/{made.filename}"
        part = standing.ask("GET", path, headers={"Range": range})
        first, _, last = range.removeprefix("bytes=").partition("-")
        begin = int(first) if first else len(made.content) - int(last)
        end = int(last) + 1 if first and last else len(made.content)
        assert (part.status_code, part.content) == (206, made.content[begin:end])
        head = standing.ask("HEAD", path)
        assert head.headers["content-length"] == str(len(made.content))
        assert head.headers["etag"] == f'"{made.sha256}"'
        assert upstream.paths(path) == [path]


def test_wrong_bytes_never_come_whole_and_are_not_kept(upstream: Upstream, start: Start) -> None:
    """The client sees an error or a broken transfer, never 404; afterwards the right ones come."""
    site = start()
    for number, (fault, change) in enumerate(WRONG.items()):
        name = f"big{number}"
        made = upstream.has(name, made=make_wheel(name, "1.0", files={"big.bin": NOISE}))
        upstream.fault = only("/files/", change)
        try:
            answer = site.ask("GET", f"/files/{name}/{made.filename}")
        except httpx.TransportError:
            pass
        else:
            assert answer.status_code == 503, fault
        upstream.fault = None
        fetched(site, name, made)


def test_many_who_ask_at_once_share_one_transfer(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """Everybody gets all bytes, also when the first ones leave; the upstream is asked once."""
    upstream.has(name, made=big)

    def slow(sent: Sent) -> Sent:
        sent.after = 0.5
        return sent

    upstream.fault = only("/files/", slow)
    listed(standing, name)

    url = f"{standing.url}/files/{name}/{big.filename}"

    def leave(_: int) -> str:
        try:
            httpx.get(
                f"{standing.url}/files/{name}/{big.filename}",
                timeout=0.1,
                trust_env=False,
                verify=False,
            )
        except httpx.TimeoutException:
            return "left"
        return "stayed"

    def ask(_: int) -> str:
        with httpx.stream("GET", url, timeout=120, trust_env=False, verify=False) as answer:
            return hashed(answer)

    readers = 192 if SOAK else 40
    with ThreadPoolExecutor(readers + 8) as pool:
        left = pool.map(leave, range(8))
        assert set(pool.map(ask, range(readers))) == {big.sha256}
        assert "left" in set(left)
    assert upstream.paths("/files/") == [f"/files/{name}/{big.filename}"]


def test_a_transfer_that_breaks_off_is_taken_up_again(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """From where it ended; the client notices nothing."""
    upstream.has(name, made=big)
    breaks = iter([2**20])

    def once(sent: Sent) -> Sent:
        sent.cut = next(breaks, None)
        return sent

    upstream.fault = only("/files/", once)
    fetched(standing, name, big)
    first, second = (one for one in upstream.asked if "/files/" in one.path)
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=")


def test_bytes_that_change_upstream_are_not_swapped_in(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """The first ones stay, on the page too; the audit trail tells of it."""
    upstream.has(name, made=big)
    upstream.headers = {"Cache-Control": "max-age=0"}
    listed(standing, name)
    fetched(standing, name, big)
    other = make_wheel(name, "1.0", summary="changed")
    upstream.has(name, made=other)
    for _ in range(3):
        time.sleep(AGAIN)
        assert listed(standing, name)[big.filename]["hashes"]["sha256"] == big.sha256
        fetched(standing, name, big)
    (told,) = trail(standing, "upstream.hash_change", name)
    assert told.target == f"upstream: {name}/{big.filename}"


def test_files_that_vanish_upstream_stay_for_a_while(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """A backup that was restored there does not break builds here."""
    upstream.headers = {"Cache-Control": "max-age=0"}
    upstream.has(name, made=big)
    old = upstream.has(name, "0.9")
    listed(standing, name)
    del upstream.projects[name][old.filename]
    time.sleep(AGAIN)
    asked = len(upstream.asked)
    assert set(listed(standing, name)) == {big.filename, old.filename}
    del upstream.projects[name]
    time.sleep(AGAIN)
    assert set(listed(standing, name)) == {big.filename, old.filename}
    assert len(upstream.asked) > asked
    assert {entry.action for entry in trail(standing, "upstream.shrink", name)} == {
        "upstream.shrink"
    }


@pytest.mark.parametrize("theirs", [True, False], ids=["passed on", "made"])
def test_core_metadata_of_a_wheel_costs_no_wheel(
    upstream: Upstream, standing: Site, big: Made, name: str, theirs: bool
) -> None:
    """Passed on where the upstream has it, made from a few kilobytes where not; then kept."""
    upstream.metadata = theirs
    upstream.has(name, made=big)
    for _ in range(2):
        answer = standing.ask("GET", f"/files/{name}/{big.filename}.metadata")
        assert (answer.status_code, answer.content) == (200, core_metadata(big))
    asked = [one for one in upstream.asked if "/files/" in one.path]
    assert len(asked) <= 3
    assert all(one.path.endswith(".metadata") or "range" in one.headers for one in asked)


def test_core_metadata_with_another_hash_is_not_passed_on(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """503, and nothing kept."""
    upstream.metadata = True
    upstream.has(name, made=big)
    upstream.fault = lambda asked, sent: (
        Sent(body=b"Name: evil\n") if asked.path.endswith(".metadata") else sent
    )
    assert standing.ask("GET", f"/files/{name}/{big.filename}.metadata").status_code == 503
    upstream.fault = None
    assert standing.ask("GET", f"/files/{name}/{big.filename}.metadata").content == core_metadata(
        big
    )


def test_core_metadata_where_the_upstream_knows_no_ranges(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """The wheel is fetched, and kept with it."""
    upstream.ranges = False
    upstream.has(name, made=big)
    assert standing.ask("GET", f"/files/{name}/{big.filename}.metadata").content == core_metadata(
        big
    )
    fetched(standing, name, big)


def test_only_what_a_page_lists_can_be_fetched(
    upstream: Upstream, standing: Site, big: Made, name: str
) -> None:
    """Another filename is 404, whatever the upstream would send."""
    upstream.has(name, made=big)
    assert standing.ask("GET", f"/files/{name}/{name}-2.0-py3-none-any.whl").status_code == 404
    assert upstream.paths("/files/") == []


UNWELL: dict[str, Sent] = {
    "500": Sent(500),
    "429": Sent(429),
    "401": Sent(401),
    "garbage": Sent(body=b"{}", headers={"Content-Type": JSON["Accept"]}),
    "portal": Sent(body=b"<html>ok", headers={"Content-Type": "text/html"}),
    "image": Sent(body=b"\0" * 99, headers={"Content-Type": "image/png"}),
    "redirect": Sent(302, headers={"Location": "http://169.254.169.254/"}),
    "hang": Sent(after=30),
}


@pytest.mark.parametrize("what", UNWELL)
def test_an_upstream_that_is_not_well_hides_no_project(
    upstream: Upstream, start: Start, what: str
) -> None:
    """Known projects are served on; unknown ones are 503, never 404."""
    upstream.headers = {"Cache-Control": "max-age=0"}
    one = {"name": "inner", "url": upstream.simple, "timeout": "1 s"}
    site = start("none", upstream="", upstreams=(one,))
    made = upstream.has("known")
    assert listed(site, "known")
    fetched(site, "known", made)
    upstream.fault = lambda asked, sent: UNWELL[what]
    time.sleep(AGAIN)
    assert set(listed(site, "known")) == {made.filename}
    fetched(site, "known", made)
    assert site.ask("GET", "/simple/unknown/").status_code == 503
    assert site.ask("GET", "/files/strange/strange-1.0.tar.gz").status_code == 503


def test_projects_that_are_broken_upstream_do_not_shut_it_off(
    upstream: Upstream, start: Start
) -> None:
    """Whoever asks for them again and again takes nothing from the others."""
    garbage = Sent(body=b"{}", headers={"Content-Type": JSON["Accept"], "ETag": '"\xe9"'})
    upstream.fault = lambda asked, sent: garbage if "broken" in asked.path else sent
    upstream.headers = {"ETag": '"\xe9"', "Cache-Control": "max-age=0"}
    made = upstream.has("fine")
    site = start()
    for number in range(8):
        assert site.ask("GET", f"/simple/broken{number}/").status_code == 503
    for _ in range(2):
        assert set(listed(site, "fine")) == {made.filename}
        time.sleep(AGAIN)
    upstream.fault = lambda asked, sent: Sent(500)
    for number in range(8):
        assert site.ask("GET", f"/simple/down{number}/").status_code == 503
    assert len(upstream.paths("down")) < 8  # left alone for a while
