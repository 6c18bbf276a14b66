"""What is kept to be given again, and when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import pytest
from packaging.utils import NormalizedName

from app.access.base import Access, Grants
from app.access.policy import Defaults
from app.downloads.kept import Kept
from app.downloads.tally import Tally
from app.hot import OVERHEAD, REMEMBERED, RENEWING, Hot
from app.hot.answer import ALLOWED, REQUEST_ID, Answer, answer
from app.hot.question import LONGEST, Question, question
from app.hot.watch import watching
from app.models import Actor, Identity, Permission
from app.storage.memory import MemoryStorage

DEMO, OTHER = NormalizedName("demo"), NormalizedName("other")
BODY = b"x" * 1000
READ = frozenset({Permission.READ})
ALICE = Identity(
    actor=Actor(kind="user", id="alice"), principals=frozenset({"authenticated", "user:alice"})
)
CREDENTIALS = b"Basic YWxpY2U6cGFzc3dvcmQ="


@dataclass
class Clock:
    """A clock that tests move, and a follower that is as fresh as it says."""

    now: float = 1000.0
    fresh_until: float = 1e9

    def __call__(self) -> float:
        return self.now


def hot(clock: Clock | None = None, *, read: str = "everyone", memory: int = 10**6) -> Hot:
    """An empty one."""
    clock = clock or Clock()
    return Hot(Defaults(read=frozenset({read})), memory=memory, following=clock, clock=clock)


def ask(target: str = "/simple/demo/", method: str = "GET", **headers: str) -> Question:
    """A question that could be answered."""
    lines = {"host": "a", **{name.replace("_", "-"): text for name, text in headers.items()}}
    fields = [(name.encode(), text.encode()) for name, text in lines.items()]
    asked = question(method.encode(), target.encode(), fields)
    assert asked is not None
    return asked


def made(body: bytes = BODY, status: int = 200) -> Answer:
    """An answer as the guard lets it out."""
    fields = (
        (b"etag", b'"tag"'),
        (b"vary", b"Accept"),
        (b"content-type", b"text/html"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", b"0123456789abcdef"),
        (b"strict-transport-security", b"max-age=31536000"),
    )
    found = answer(status, fields, body)
    assert found is not None
    return found


def keep(
    kept: Hot,
    asked: Question,
    project: NormalizedName = DEMO,
    grants: Mapping[str, frozenset[Permission]] | None = None,
    body: bytes = BODY,
) -> None:
    """As a door and the front room do it."""
    offer = kept.offer()
    offer.see(project, "g1", grants or {})
    offer.hold()
    kept.keep(asked, offer, made(body))


class TestGiving:
    """Who gets what is kept."""

    def test_the_same_question_gets_the_same_answer(self) -> None:
        """What was kept is given for exactly what was asked."""
        kept = hot()
        keep(kept, ask(accept="text/html"))
        found = kept.find(ask(accept="text/html"))
        assert found is not None
        assert found.body == BODY
        assert kept.given == 1
        for other in (
            ask(accept="*/*"),
            ask(),
            ask("/simple/demo", accept="text/html"),
            ask(method="HEAD", accept="text/html"),
            ask(accept="text/html", host="b"),
            ask(accept="text/html", accept_encoding="gzip"),
            ask(accept="text/html", x_forwarded_proto="https"),
        ):
            assert kept.find(other) is None

    @pytest.mark.parametrize(
        "field",
        [
            (b"range", b"bytes=0-1"),
            (b"if-range", b'"tag"'),
            (b"cookie", b"a=b"),
            (b"expect", b"100-continue"),
            (b"content-length", b"0"),
            (b"transfer-encoding", b"chunked"),
            (b"upgrade", b"h2c"),
            (b"host", b"b"),
            (b"forwarded", b"for=1.2.3.4"),
        ],
    )
    def test_what_is_unusual_is_for_the_door(self, field: tuple[bytes, bytes]) -> None:
        """A range, a body, a cookie, a field sent twice: nothing of that is looked up."""
        assert question(b"GET", b"/simple/demo/", [(b"host", b"a"), field]) is None

    @pytest.mark.parametrize("name", [b"authorization", b"if-none-match", b"accept"])
    def test_a_field_sent_twice_is_for_the_door(self, name: bytes) -> None:
        """The door knows what two of them mean."""
        assert question(b"GET", b"/", [(b"host", b"a"), (name, b"x"), (name, b"y")]) is None

    @pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS"])
    def test_only_reading_is_answered(self, method: bytes) -> None:
        """GET and HEAD alone."""
        assert question(method, b"/simple/demo/", [(b"host", b"a")]) is None

    def test_many_fields_are_for_the_guard(self) -> None:
        """How many are too many is not decided here."""
        fields = [(b"host", b"a"), *((b"x-%d" % number, b"") for number in range(40))]
        assert question(b"GET", b"/", fields) is None

    @pytest.mark.parametrize(
        ("grants", "anonymous", "alice"),
        [
            ({}, False, True),
            ({"everyone": READ}, True, True),
            ({"user:alice": READ}, False, True),
            ({"user:bob": READ}, False, False),
        ],
    )
    def test_only_who_may_read_gets_it(self, grants: Grants, anonymous: bool, alice: bool) -> None:
        """The rights are looked at each time, whoever's question it was that was kept."""
        kept = hot(read="authenticated")
        kept.remember(CREDENTIALS, ALICE, offer=kept.offer())
        keep(kept, ask(), grants=grants)
        asked = ask(authorization=CREDENTIALS.decode())
        for _ in range(2):
            assert (kept.find(ask()) is not None) is anonymous
            assert (kept.find(asked) is not None) is alice

    def test_strangers_have_to_prove_themselves(self) -> None:
        """Credentials that nobody verified get nothing, not even what everyone may read."""
        kept = hot()
        keep(kept, ask())
        assert kept.find(ask(authorization="Basic d3Jvbmc6d3Jvbmc=")) is None

    def test_what_is_personal_is_for_one(self) -> None:
        """The list of projects is given to whoever asked for it alone."""
        kept = hot()
        mine, everyones = ask("/simple/", authorization=CREDENTIALS.decode()), ask("/simple/")
        kept.remember(CREDENTIALS, ALICE, offer=kept.offer())
        offer = kept.offer()
        offer.hold_personal(known=True)
        kept.keep(mine, offer, made())
        assert kept.find(mine) is not None
        assert kept.find(everyones) is None

    def test_what_is_personal_belongs_to_what_was_sent(self) -> None:
        """Whoever is known by anything but the credentials of the request is not anonymous."""
        kept = hot()
        offer = kept.offer()
        offer.hold_personal(known=True)
        kept.keep(ask("/simple/"), offer, made())
        assert kept.find(ask("/simple/")) is None

    def test_further_fields_may_be_unusual(self) -> None:
        """Such as one by which a proxy says who asks."""
        kept = Hot(
            Defaults(), memory=10**6, following=Clock(), unusual=frozenset({b"x-forwarded-user"})
        )
        fields = [(b"host", b"a"), (b"x-forwarded-user", b"alice")]
        assert question(b"GET", b"/", fields, kept.unusual) is None
        assert question(b"GET", b"/", [(b"host", b"a"), (b"range", b"x")], kept.unusual) is None

    def test_cch_2_who_has_it_gets_304(self) -> None:
        """If-None-Match is heard: lists, weak tags and the star; the 304 has no body's fields."""
        kept = hot()
        keep(kept, ask())
        for tags in ('"tag"', 'W/"tag"', '"a", "tag"', "*"):
            found = kept.find(ask(if_none_match=tags))
            assert found is not None
            assert (found.status, found.body) == (304, b"")
            assert {name for name, _ in found.headers} == {
                b"etag",
                b"vary",
                b"x-request-id",
                b"strict-transport-security",
            }
        found = kept.find(ask(if_none_match='"other"'))
        assert found is not None
        assert found.status == 200

    def test_bytes_seen_before_ask_the_same(self) -> None:
        """A request is known by its bytes alone; unknown bytes are not."""
        kept = hot()
        asked = ask()
        keep(kept, asked)
        kept.see(b"GET /simple/demo/ HTTP/1.1\r\nHost: a\r\n\r\n", asked)
        found = kept.find_seen(b"GET /simple/demo/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert found is not None
        assert found[0] is asked
        assert kept.find_seen(b"GET /simple/demo/ HTTP/1.1\r\nHost: b\r\n\r\n") is None
        kept.drop(DEMO)
        assert kept.find_seen(b"GET /simple/demo/ HTTP/1.1\r\nHost: a\r\n\r\n") is None


class TestBounds:
    """What is remembered beside the answers takes no more memory than it is worth."""

    def test_credentials_beside_an_answer(self) -> None:
        """However many spell theirs, a bounded number is remembered, the newest among them."""
        made = answer(200, ((REQUEST_ID, b""),), b"")
        assert made is not None
        for number in range(3 * ALLOWED):
            made.allow(b"%d" % number, ALICE)
        assert len(made.allowed) <= ALLOWED
        assert b"%d" % (3 * ALLOWED - 1) in made.allowed

    def test_requests_that_are_long(self) -> None:
        """Whoever sends kilobytes of tags is answered, and nothing of it is remembered."""
        kept = hot()
        keep(kept, ask())
        short, long = b"GET / HTTP/1.1\r\n\r\n", b"x" * (LONGEST + 1)
        kept.see(short, ask())
        kept.see(long, ask())
        assert kept.find_seen(short) is not None
        assert kept.find_seen(long) is None


class TestForgetting:
    """When what is kept is not given any more."""

    def test_while_changes_are_not_followed_nothing_is_given(self) -> None:
        """What was kept could be older than one poll."""
        clock = Clock()
        kept = hot(clock)
        keep(kept, ask())
        clock.fresh_until = clock.now - 0.1
        assert kept.find(ask()) is None

    def test_a_change_of_the_project_drops_its_answers(self) -> None:
        """Those of others stay; what lists all projects goes."""
        kept = hot()
        keep(kept, ask())
        keep(kept, ask("/simple/other/"), project=OTHER)
        offer = kept.offer()
        offer.hold_personal(known=False)
        kept.keep(ask("/simple/"), offer, made())
        kept.drop(DEMO)
        assert kept.find(ask()) is None
        assert kept.find(ask("/simple/")) is None
        assert kept.find(ask("/simple/other/")) is not None
        kept.drop(None)
        assert kept.find(ask("/simple/other/")) is None

    @pytest.mark.parametrize("changed", [DEMO, None])
    def test_a_change_while_the_door_works_is_not_missed(
        self, changed: NormalizedName | None
    ) -> None:
        """An answer that may be older than a change is not kept."""
        kept = hot()
        offer = kept.offer()
        offer.see(DEMO, "g1", {})
        offer.hold()
        kept.drop(changed)
        kept.keep(ask(), offer, made())
        assert kept.find(ask()) is None

    def test_another_project_s_change_does_no_harm(self) -> None:
        """Only a list of all projects depends on every change."""
        kept = hot()
        one, every = kept.offer(), kept.offer()
        one.see(DEMO, "g1", {})
        one.hold()
        every.hold_personal(known=False)
        kept.drop(OTHER)
        kept.keep(ask(), one, made())
        kept.keep(ask("/simple/"), every, made())
        assert kept.find(ask()) is not None
        assert kept.find(ask("/simple/")) is None

    def test_many_changes_are_not_missed_either(self) -> None:
        """How many names changed meanwhile makes no difference."""
        kept = hot()
        offer = kept.offer()
        offer.see(DEMO, "g1", {})
        offer.hold()
        kept.drop(DEMO)
        for number in range(10_001):
            kept.drop(NormalizedName(f"project-{number}"))
        kept.keep(ask(), offer, made())
        assert kept.find(ask()) is None

    def test_a_change_of_rights_drops_everything(self) -> None:
        """Also who somebody was, and what was being proved meanwhile."""
        kept = hot(read="authenticated")
        asked = ask(authorization=CREDENTIALS.decode())
        kept.remember(CREDENTIALS, ALICE, offer=kept.offer())
        keep(kept, asked)
        offer = kept.offer()
        kept.drop_rights()
        kept.remember(CREDENTIALS, ALICE, offer=offer)
        keep(kept, asked)
        assert kept.find(asked) is None

    def test_i20_nobody_is_remembered_for_long(self) -> None:
        """After seconds one of many has to prove it; if that fails, it is over for all."""
        clock = Clock()
        kept = hot(clock)
        asked = ask(authorization=CREDENTIALS.decode())
        kept.remember(CREDENTIALS, ALICE, offer=kept.offer())
        keep(kept, asked)
        clock.now += REMEMBERED - 0.1
        assert kept.find(asked) is not None
        clock.now += 0.2
        assert kept.find(asked) is None
        assert kept.find(asked) is not None
        clock.now += RENEWING
        assert kept.find(asked) is None
        assert kept.find(asked) is None

    def test_an_answer_that_ends_is_not_given_later(self) -> None:
        """A presigned URL is given for as long as its door said."""
        clock = Clock()
        kept = hot(clock)
        offer = kept.offer()
        offer.see(DEMO, "g1", {})
        offer.hold(until=clock.now + 10)
        kept.keep(ask(), offer, made(b"", 302))
        assert kept.find(ask()) is not None
        clock.now += 10
        assert kept.find(ask()) is None

    def test_what_no_door_offered_is_not_kept(self) -> None:
        """Silence is no offer."""
        kept = hot()
        kept.keep(ask(), kept.offer(), made())
        assert kept.find(ask()) is None

    def test_memory_is_bounded(self) -> None:
        """The least recently kept go first; dropping gives the room back."""
        kept = hot(memory=3 * (len(BODY) + OVERHEAD))
        for number in range(4):
            keep(kept, ask(f"/simple/p{number}/"), project=NormalizedName(f"p{number}"))
        found = [kept.find(ask(f"/simple/p{number}/")) is not None for number in range(4)]
        assert found == [False, True, True, True]
        kept.drop(NormalizedName("p3"))
        keep(kept, ask("/simple/p4/"), project=NormalizedName("p4"))
        found = [kept.find(ask(f"/simple/p{number}/")) is not None for number in range(5)]
        assert found == [False, True, True, False, True]

    def test_an_answer_replaced_is_counted_once(self) -> None:
        """Keeping the same again takes no more room."""
        kept = hot(memory=2 * (len(BODY) + OVERHEAD))
        keep(kept, ask("/simple/other/"), project=OTHER)
        for _ in range(5):
            keep(kept, ask())
        assert kept.find(ask("/simple/other/")) is not None

    def test_secrets_are_not_kept(self) -> None:
        """Neither credentials nor whole requests can be found in what is remembered."""
        kept = hot()
        head = b"GET / HTTP/1.1\r\nAuthorization: " + CREDENTIALS + b"\r\n\r\n"
        kept.remember(CREDENTIALS, ALICE, offer=kept.offer())
        asked = ask(authorization=CREDENTIALS.decode())
        keep(kept, asked)
        assert kept.find(asked) is not None
        kept.see(head, asked)
        assert kept.find_seen(head) is not None
        assert CREDENTIALS.decode() not in repr(vars(kept))


def test_request_ids_differ() -> None:
    """Sixteen hexadecimal digits each."""
    kept = hot()
    ids = [kept.request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(id) == 16 and int(id, 16) >= 0 for id in ids)


def test_only_what_passed_the_guard_is_an_answer() -> None:
    """Without its request id an answer is not kept."""
    assert answer(200, ((b"etag", b'"tag"'),), b"") is None


class Editable:
    """An access backend that says when it changed, or that it cannot say."""

    def __init__(self, edition: str | None) -> None:
        self.now = edition
        self.asked = 0

    async def edition(self) -> str | None:
        self.asked += 1
        return self.now


@pytest.mark.parametrize("edition", ["1", None])
async def test_edits_that_nobody_told_of_are_noticed(edition: str | None) -> None:
    """By the backend's own word, or where it has none, after seconds."""
    backend = Editable(edition)
    clock = Clock()
    kept = hot(clock)
    async with watching(cast(Access, backend), kept, every=0.01):
        await _until(lambda: backend.asked > 1)
        keep(kept, ask())
        if edition is not None:
            asked = backend.asked
            await _until(lambda: backend.asked > asked + 1)
            assert kept.find(ask()) is not None
            backend.now = "2"
        await _until(lambda: kept.find(ask()) is None)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


class TestDownloads:
    """Answers that hand out a file."""

    def test_what_it_is_a_download_of_stays_with_the_answer(self) -> None:
        """Not with its 304, and not with answers that hand nothing out."""
        kept = hot()
        offer = kept.offer()
        offer.see(DEMO, "g1", {})
        offer.hold()
        offer.download = ("demo@g1", "1.0")
        kept.keep(ask("/files/demo/x"), offer, made())
        keep(kept, ask("/simple/demo/"))
        given = kept.find(ask("/files/demo/x", user_agent="curl/8"))
        unchanged = kept.find(ask("/files/demo/x", if_none_match='"tag"'))
        page = kept.find(ask("/simple/demo/"))
        assert given is not None
        assert unchanged is not None
        assert page is not None
        assert given.download == ("demo@g1", "1.0")
        assert (unchanged.status, unchanged.download, page.download) == (304, None, None)

    def test_no_answer_depends_on_the_user_agent(self) -> None:
        """It is remembered with the question, for the count alone."""
        kept = hot()
        keep(kept, ask(user_agent="pip/24.2"))
        asked = ask(user_agent="uv/0.5")
        assert asked.agent == b"uv/0.5"
        assert kept.find(asked) is not None
        assert kept.find(ask()) is not None

    def test_they_are_counted_by_who_asked(self) -> None:
        """Where they are counted at all."""
        kept = hot()
        asked = ask(user_agent="uv/0.5")
        kept.counting.downloaded(("demo@g1", "1.0"), asked)
        tally = kept.counting.tally = Tally(Kept(MemoryStorage()))
        for _ in range(3):
            kept.counting.downloaded(("demo@g1", "1.0"), asked)
        (counted,) = tally.held
        assert counted.counts.rows == {"demo@g1": {("1.0", ("uv", "")): 3}}
