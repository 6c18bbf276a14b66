"""What every ledger promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access import trail
from app.access.ledger import Entry, Ledger, Publisher, Session, Token
from app.models import Actor, Permission, Scope

NOW = datetime(2066, 11, 28, 12, 0, 0, 123456, tzinfo=UTC)
"""Far ahead: a database may remove what has expired by its own clock."""
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
FLASK = NormalizedName("flask")
ALICE = Actor(kind="user", id="alice")
DIGEST = "ab" * 32

TOKEN = Token(
    id="aaaaaaaaaaaa",
    name="release of flask, ünïcode",
    owner="alice",
    scope=Scope(
        permissions=frozenset({Permission.READ, Permission.UPLOAD}),
        projects={"flask": "g1", "django": None, "corp-*": None},
        creates=True,
    ),
    created=NOW,
    expires=NOW + 90 * DAY,
    digest=DIGEST,
    owner_stamp="s1",
    networks=("10.0.0.0/8", "2001:db8::/32"),
)
MINTED = Token(
    id="mmmmmmmmmmmm",
    name="",
    owner=None,
    scope=Scope(
        permissions=frozenset({Permission.UPLOAD}), projects={"flask": "g1"}, sufficient=True
    ),
    created=NOW,
    expires=NOW + 15 * MINUTE,
    digest=DIGEST,
    publisher="p1",
    claims={"repository": "pallets/flask", "run": 7, "nested": {"a": [None, True]}},
)
PUBLISHER = Publisher(
    id="p1",
    project=FLASK,
    generation="g1",
    provider="github",
    issuer="https://issuer.example",
    conditions={"repository": "pallets/flask", "workflow": "release.yml", "environment": None},
    added=NOW,
    added_by=ALICE,
)
SESSION = Session(
    digest=DIGEST,
    user="alice",
    stamp="s1 1",
    csrf="c" * 43,
    created=NOW,
    seen=NOW,
    expires=NOW + 7 * DAY,
    proved=NOW,
    address="10.0.0.1",
    agent="Firefox",
)
ENTRY = Entry(
    number=0,
    time=NOW,
    action="token.create",
    actor=ALICE,
    target="token:aaaaaaaaaaaa",
    outcome="ok",
    credential="session",
    address="10.0.0.1",
    agent="curl/8",
    request="0123456789abcdef",
    before=None,
    after={"name": "ünïcode", "permissions": ["read"], "expires": 7, "deep": {"a": None}},
)


async def all_of(ledger: Ledger, *, after: int = 0, **equal: str) -> list[Entry]:
    """Every entry that fits."""
    return [entry async for entry in ledger.trail.entries(after=after, limit=None, **equal)]


class LedgerContract:
    """Run it where there are fixtures ``ledger`` (empty) and ``elsewhere``.

    ``elsewhere`` is the same ledger through connections of its own, as another process has them.
    """

    # Tokens

    @pytest.mark.parametrize("token", [TOKEN, MINTED], ids=["owned", "minted"])
    async def test_a_token_is_found_as_it_was_added(
        self, ledger: Ledger, elsewhere: Ledger, token: Token
    ) -> None:
        """By its id a token is found whole, to the microsecond, through any connection at once."""
        await ledger.tokens.add(token)
        assert await elsewhere.tokens.find(token.id) == token

    @pytest.mark.parametrize("id", ["", "AAAAAAAAAAAA", "aaaaaaaaaaa", "aaaaaaaaaaaa ", "%" * 12])
    async def test_another_id_finds_nothing(self, ledger: Ledger, id: str) -> None:
        """No other id finds it, not one that differs in case or by a space at its end."""
        await ledger.tokens.add(TOKEN)
        assert await ledger.tokens.find(id) is None

    async def test_expired_tokens_are_found(self, ledger: Ledger) -> None:
        """Whoever sends an expired token can be told so."""
        expired = replace(TOKEN, expires=NOW - MINUTE)
        await ledger.tokens.add(expired)
        assert await ledger.tokens.find(TOKEN.id) == expired

    async def test_a_scope_without_projects(self, ledger: Ledger) -> None:
        """A token need not name a project: one for an admin's work does not."""
        token = replace(
            TOKEN, scope=Scope(permissions=frozenset(), projects={}, admin=True), networks=()
        )
        await ledger.tokens.add(token)
        assert await ledger.tokens.find(TOKEN.id) == token

    async def test_tokens_are_listed_newest_first(self, ledger: Ledger) -> None:
        """Those of an owner, or all, newest first; nobody's are in no owner's list."""
        second = replace(TOKEN, id="b" * 12, created=NOW + MINUTE)
        third = replace(TOKEN, id="c" * 12, owner="bob", created=NOW + 2 * MINUTE)
        for token in (second, TOKEN, MINTED, third):
            await ledger.tokens.add(token)
        assert list(await ledger.tokens.of("alice")) == [second, TOKEN]
        assert [token.id for token in await ledger.tokens.of()][:2] == [third.id, second.id]
        assert len(await ledger.tokens.of()) == 4
        assert list(await ledger.tokens.of("carol")) == []

    async def test_a_revoked_token_is_gone_everywhere(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """Revoked through one connection, a token is found by none; again there is none."""
        await ledger.tokens.add(TOKEN)
        await ledger.tokens.add(replace(TOKEN, id="b" * 12))
        assert await elsewhere.tokens.revoke(TOKEN.id)
        assert await ledger.tokens.find(TOKEN.id) is None
        assert not await elsewhere.tokens.revoke(TOKEN.id)
        assert [token.id for token in await ledger.tokens.of("alice")] == ["b" * 12]

    async def test_what_a_token_made_goes_with_it(self, ledger: Ledger) -> None:
        """Tokens made with a token, and with those, are revoked with it; others stay."""
        child = replace(TOKEN, id="b" * 12, parent=TOKEN.id)
        grandchild = replace(TOKEN, id="c" * 12, parent=child.id)
        other = replace(TOKEN, id="d" * 12)
        for token in (TOKEN, child, grandchild, other):
            await ledger.tokens.add(token)
        assert await ledger.tokens.find(child.id) == child
        assert await ledger.tokens.revoke(TOKEN.id)
        assert [token.id for token in await ledger.tokens.of()] == [other.id]

    async def test_nothing_is_made_with_a_token_that_is_gone(self, ledger: Ledger) -> None:
        """Whoever still makes a token with it is refused, and nothing is kept of that one."""
        child = replace(TOKEN, id="b" * 12, parent=TOKEN.id)
        with pytest.raises(errors.TokenNotFound):
            await ledger.tokens.add(child)
        await ledger.tokens.add(TOKEN)
        assert await ledger.tokens.revoke(TOKEN.id)
        with pytest.raises(errors.TokenNotFound):
            await ledger.tokens.add(child)
        assert await ledger.tokens.find(child.id) is None
        assert await ledger.tokens.of() == []

    async def test_what_is_made_while_a_token_is_revoked_goes_with_it(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """Of those being made with it, and with those, at that moment none is left."""

        async def make(number: int, parent: str) -> bool:
            token = replace(TOKEN, id=f"{parent[0]}{number:011}", parent=parent)
            try:
                await (ledger, elsewhere)[number % 2].tokens.add(token)
            except errors.TokenNotFound:
                return False
            return True

        for round in range(4):
            parent, child = replace(TOKEN, id="p" * 12), replace(TOKEN, id="c" * 12)
            await ledger.tokens.add(parent)
            await ledger.tokens.add(replace(child, parent=parent.id))
            makes = [make(n, (parent, child)[n // 2 % 2].id) for n in range(12)]
            revoke = (ledger, elsewhere)[round % 2].tokens.revoke(parent.id)
            revoked, *_ = await asyncio.gather(revoke, *makes)
            assert revoked
            assert await ledger.tokens.of() == []

    async def test_all_of_an_owner_are_revoked(self, ledger: Ledger) -> None:
        """With a user go all their tokens, and nobody else's."""
        for id, owner in (("a", "alice"), ("b", "alice"), ("c", "bob")):
            await ledger.tokens.add(replace(TOKEN, id=id * 12, owner=owner))
        await ledger.tokens.add(MINTED)
        assert await ledger.tokens.revoke_all("alice") == 2
        assert await ledger.tokens.revoke_all("alice") == 0
        assert {token.owner for token in await ledger.tokens.of()} == {"bob", None}

    async def test_the_last_use_is_noted_once_a_minute(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """A use within a minute of the one noted is not noted; of a token that is gone, none."""
        await ledger.tokens.add(TOKEN)
        for seconds, noted in ((0, 0), (59, 0), (60, 60), (61, 60)):
            await elsewhere.tokens.used(TOKEN.id, NOW + timedelta(seconds=seconds))
            found = await ledger.tokens.find(TOKEN.id)
            assert found is not None
            assert found.last_used == NOW + timedelta(seconds=noted)
        await ledger.tokens.used("z" * 12, NOW)
        assert await ledger.tokens.find("z" * 12) is None

    async def test_a_name_that_was_free_is_bound(self, ledger: Ledger) -> None:
        """Once a named project has come, the scope means its generation, and no later one."""
        await ledger.tokens.add(TOKEN)
        await ledger.tokens.bind(NormalizedName("django"), "d1")
        await ledger.tokens.bind(NormalizedName("django"), "d2")
        await ledger.tokens.bind(FLASK, "g2")
        await ledger.tokens.bind(NormalizedName("corp-x"), "x1")
        found = await ledger.tokens.find(TOKEN.id)
        assert found is not None
        assert found.scope.projects == {"flask": "g1", "django": "d1", "corp-*": None}

    async def test_tokens_that_expired_long_ago_are_swept(self, ledger: Ledger) -> None:
        """A day after its end a token is dropped; before, never."""
        await ledger.tokens.add(MINTED)
        await ledger.tokens.add(TOKEN)
        assert await ledger.tokens.sweep(MINTED.expires + DAY - MINUTE) == 0
        assert await ledger.tokens.sweep(MINTED.expires + DAY + MINUTE) == 1
        assert await ledger.tokens.of() == [TOKEN]

    # Publishers

    async def test_a_publisher_is_found_as_it_was_added(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """By id, by project and by issuer, whole."""
        await ledger.publishers.add(PUBLISHER)
        assert await elsewhere.publishers.find("p1") == PUBLISHER
        assert list(await elsewhere.publishers.of(FLASK)) == [PUBLISHER]
        assert list(await elsewhere.publishers.at(PUBLISHER.issuer)) == [PUBLISHER]
        assert await ledger.publishers.find("p2") is None
        assert list(await ledger.publishers.of(NormalizedName("flas"))) == []
        assert list(await ledger.publishers.at("https://issuer.example/")) == []

    async def test_an_equal_publisher_is_refused(self, ledger: Ledger) -> None:
        """One that differs in nothing but id, time and pins is there already; others are not."""
        await ledger.publishers.add(PUBLISHER)
        later = {"id": "p2", "added": NOW + MINUTE, "pinned": {"owner_id": "1"}}
        with pytest.raises(errors.PublisherExists):
            await ledger.publishers.add(replace(PUBLISHER, **later))  # type: ignore[arg-type]
        conditions = {**PUBLISHER.conditions, "environment": "pypi"}
        await ledger.publishers.add(replace(PUBLISHER, id="p3", conditions=conditions))
        await ledger.publishers.add(replace(PUBLISHER, id="p4", generation="g2"))
        found = {publisher.id for publisher in await ledger.publishers.of(FLASK)}
        assert found == {"p1", "p3", "p4"}

    async def test_of_racing_equal_publishers_one_is_added(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """Of several that add an equal one at once, one succeeds and the rest are refused."""
        answers = await asyncio.gather(
            *(
                (ledger, elsewhere)[n % 2].publishers.add(replace(PUBLISHER, id=f"p{n}"))
                for n in range(6)
            ),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers].count(errors.PublisherExists) == 5
        assert len(await ledger.publishers.of(FLASK)) == 1

    async def test_the_tokens_of_a_publisher_go_with_it(self, ledger: Ledger) -> None:
        """Removed, a publisher is gone and so is what was minted for it; again there is none."""
        await ledger.publishers.add(PUBLISHER)
        await ledger.tokens.add(MINTED)
        await ledger.tokens.add(TOKEN)
        assert await ledger.publishers.remove("p1")
        assert await ledger.publishers.find("p1") is None
        assert await ledger.tokens.of() == [TOKEN]
        assert not await ledger.publishers.remove("p1")

    async def test_the_first_use_is_pinned(self, ledger: Ledger) -> None:
        """What is pinned is kept."""
        await ledger.publishers.add(PUBLISHER)
        await ledger.publishers.pin("p1", {"repository_id": "42"})
        found = await ledger.publishers.find("p1")
        assert found == replace(PUBLISHER, pinned={"repository_id": "42"})

    async def test_a_pending_publisher_is_bound(self, ledger: Ledger) -> None:
        """Its project come, a pending publisher is of that generation, and of no later one."""
        await ledger.publishers.add(replace(PUBLISHER, generation=None))
        await ledger.publishers.bind(NormalizedName("django"), "d1")
        await ledger.publishers.bind(FLASK, "g1")
        await ledger.publishers.bind(FLASK, "g2")
        assert list(await ledger.publishers.of(FLASK)) == [PUBLISHER]

    async def test_a_pending_publisher_that_is_there_already(self, ledger: Ledger) -> None:
        """Where an equal one was added to the project itself, that one remains."""
        await ledger.publishers.add(replace(PUBLISHER, id="p0", generation=None))
        await ledger.publishers.add(PUBLISHER)
        await ledger.publishers.bind(FLASK, "g1")
        assert list(await ledger.publishers.of(FLASK)) == [PUBLISHER]

    # Sessions

    async def test_a_session_is_found_as_it_was_added(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """By its digest alone, whole; and in its user's list."""
        await ledger.sessions.add(SESSION)
        assert await elsewhere.sessions.find(DIGEST) == SESSION
        assert await elsewhere.sessions.find(DIGEST.upper()) is None
        assert list(await elsewhere.sessions.of("alice")) == [SESSION]
        assert list(await elsewhere.sessions.of("bob")) == []

    async def test_a_session_is_touched_once_a_minute(self, ledger: Ledger) -> None:
        """Seen again within a minute, nothing is written."""
        await ledger.sessions.add(SESSION)
        for seconds, noted in ((59, 0), (60, 60), (100, 60)):
            await ledger.sessions.touch(DIGEST, NOW + timedelta(seconds=seconds))
            found = await ledger.sessions.find(DIGEST)
            assert found == replace(SESSION, seen=NOW + timedelta(seconds=noted))

    async def test_sessions_end_everywhere(self, ledger: Ledger, elsewhere: Ledger) -> None:
        """One, or all of a user; nobody else's."""
        for digest, user in (("1", "alice"), ("2", "alice"), ("3", "alice"), ("4", "bob")):
            await ledger.sessions.add(replace(SESSION, digest=digest * 64, user=user))
        assert await elsewhere.sessions.end("1" * 64)
        assert not await elsewhere.sessions.end("1" * 64)
        assert await ledger.sessions.find("1" * 64) is None
        assert await elsewhere.sessions.end_all("alice") == 2
        assert await ledger.sessions.find("2" * 64) is None
        assert await ledger.sessions.find("4" * 64) is not None

    async def test_expired_sessions_are_swept(self, ledger: Ledger) -> None:
        """What expired is dropped, and nothing else."""
        await ledger.sessions.add(SESSION)
        assert await ledger.sessions.sweep(SESSION.expires - MINUTE) == 0
        assert await ledger.sessions.sweep(SESSION.expires + MINUTE) == 1
        assert await ledger.sessions.find(DIGEST) is None

    # Subjects

    async def test_a_user_is_bound_to_one_subject(self, ledger: Ledger, elsewhere: Ledger) -> None:
        """And it to that user, at each issuer; again is no harm, another one is refused."""
        issuer, other = "https://sso.example", "https://other.example"
        odd = "x" * 300 + "é\0|Ada"
        assert await ledger.subjects.user(issuer, odd) is None
        assert await ledger.subjects.bind(issuer, odd, "ada")
        assert await elsewhere.subjects.user(issuer, odd) == "ada"
        assert await elsewhere.subjects.bind(issuer, odd, "ada")
        assert not await elsewhere.subjects.bind(issuer, odd.lower(), "ada")
        assert not await elsewhere.subjects.bind(issuer, odd, "bob")
        assert await ledger.subjects.user(issuer, odd.lower()) is None
        assert await ledger.subjects.bind(issuer, odd.lower(), "bob")
        assert await ledger.subjects.bind(other, odd, "bob")
        assert await ledger.subjects.user(other, odd) == "bob"

    async def test_a_user_who_goes_is_nobodys(self, ledger: Ledger, elsewhere: Ledger) -> None:
        """At every issuer; others stay, and both may be bound anew."""
        for issuer, subject, user in (("a", "1", "ada"), ("b", "1", "ada"), ("a", "2", "bob")):
            assert await ledger.subjects.bind(issuer, subject, user)
        assert await elsewhere.subjects.release("ada") == 2
        assert await elsewhere.subjects.release("ada") == 0
        assert await ledger.subjects.user("a", "1") is None
        assert await ledger.subjects.user("a", "2") == "bob"
        assert await ledger.subjects.bind("a", "3", "ada")
        assert await ledger.subjects.bind("b", "1", "carol")

    async def test_of_racing_logins_one_is_the_user(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """Of many subjects that come at once under one name, and of many names of one subject."""
        ledgers = (ledger, elsewhere)
        won = await asyncio.gather(
            *(ledgers[n % 2].subjects.bind("a", f"{n}", "ada") for n in range(8))
        )
        held = [await ledger.subjects.user("a", f"{n}") for n in range(8)]
        assert sum(won) == 1
        assert [user == "ada" for user in held] == won
        won = await asyncio.gather(
            *(ledgers[n % 2].subjects.bind("b", "1", f"user{n}") for n in range(8))
        )
        assert sum(won) == 1
        assert await elsewhere.subjects.user("b", "1") == f"user{won.index(True)}"

    # Once

    async def test_an_id_is_used_once(self, ledger: Ledger, elsewhere: Ledger) -> None:
        """The first gets True, everybody later False; kinds and ids do not mix."""
        until = NOW + MINUTE
        assert await ledger.once.use("jti", "1", until)
        assert not await elsewhere.once.use("jti", "1", until)
        assert not await ledger.once.use("jti", "1", until + DAY)
        assert await ledger.once.use("state", "1", until)
        assert await ledger.once.use("jti", "2", until)
        assert await ledger.once.use("jti", "x" * 9000 + "\0é\ud800", until)

    async def test_of_racing_uses_one_wins(self, ledger: Ledger, elsewhere: Ledger) -> None:
        """Of all who ask at once, through any connection, exactly one gets True."""
        for n in range(3):
            answers = await asyncio.gather(
                *((ledger, elsewhere)[m % 2].once.use("jti", f"{n}", NOW) for m in range(12))
            )
            assert sorted(answers) == [False] * 11 + [True]

    async def test_used_ids_are_kept_until_their_time(self, ledger: Ledger) -> None:
        """Sweeping drops what is past its time, no sooner."""
        await ledger.once.use("jti", "1", NOW)
        assert await ledger.once.sweep(NOW - MINUTE) == 0
        assert not await ledger.once.use("jti", "1", NOW)
        assert await ledger.once.sweep(NOW + MINUTE) == 1

    # Attempts

    async def test_attempts_are_counted_over_a_sliding_window(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """Each counts for as long as the window, from its own time on; keys are apart."""
        window = 5 * MINUTE
        assert await ledger.attempts.count("login:10.0.0.1", window, NOW) == 0
        for minute in (0, 1, 4):
            count = await ledger.attempts.add("login:10.0.0.1", window, NOW + minute * MINUTE)
            assert count == {0: 1, 1: 2, 4: 3}[minute]
        for minute, expected in ((4, 3), (5, 2), (6, 1), (8, 1), (9, 0)):
            now = NOW + minute * MINUTE
            assert await elsewhere.attempts.count("login:10.0.0.1", window, now) == expected
        assert await elsewhere.attempts.add("login:10.0.0.1", window, NOW + 6 * MINUTE) == 2
        assert await ledger.attempts.count("login:10.0.0.10", window, NOW) == 0
        assert await ledger.attempts.add("x" * 9000 + "\0é\ud800", window, NOW) == 1

    async def test_no_attempt_is_lost(self, ledger: Ledger, elsewhere: Ledger) -> None:
        """Added at once through several connections, each is told another number."""
        counts = await asyncio.gather(
            *((ledger, elsewhere)[n % 2].attempts.add("k", MINUTE, NOW) for n in range(20))
        )
        assert sorted(counts) == list(range(1, 21))
        assert await ledger.attempts.count("k", MINUTE, NOW) == 20

    async def test_old_attempts_are_swept(self, ledger: Ledger) -> None:
        """What counts no more is dropped, what counts is not."""
        await ledger.attempts.add("old", MINUTE, NOW)
        await ledger.attempts.add("new", MINUTE, NOW + 2 * MINUTE)
        assert await ledger.attempts.sweep(NOW + 2 * MINUTE) == 1
        assert await ledger.attempts.count("new", MINUTE, NOW + 2 * MINUTE) == 1

    # Trail

    async def test_entries_are_kept_as_they_were_appended(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """An entry gets the next number and a head, and is read as it was, by everybody."""
        first = await ledger.trail.append(ENTRY)
        bare = Entry(number=0, time=NOW, action="reindex", actor=None, target="", outcome="ok")
        second = await elsewhere.trail.append(bare)
        assert first == replace(ENTRY, number=1, head=first.head)
        assert second == replace(bare, number=2, head=second.head)
        assert len({first.head, second.head, ""}) == 3
        assert await all_of(elsewhere) == [first, second]
        assert (await trail.verify(ledger.trail.entries())).flaw is None

    async def test_the_trail_is_gapless_under_concurrent_writers(
        self, ledger: Ledger, elsewhere: Ledger
    ) -> None:
        """Entries appended at once are numbered without a gap, each after the one before."""
        made = await asyncio.gather(
            *(
                (ledger, elsewhere)[n % 2].trail.append(replace(ENTRY, target=f"token:{n}"))
                for n in range(20)
            )
        )
        assert sorted(entry.number for entry in made) == list(range(1, 21))
        verdict = await trail.verify(ledger.trail.entries())
        assert (verdict.entries, verdict.flaw) == (20, None)
        assert {entry.target for entry in await all_of(ledger)} == {f"token:{n}" for n in range(20)}

    async def test_entries_are_found(self, ledger: Ledger) -> None:
        """By action, actor (``kind:id``) and target, after a number, up to a limit."""
        bob = Actor(kind="user", id="bob")
        for n in range(6):
            entry = replace(ENTRY, actor=bob if n % 2 else ALICE, target=f"token:{n // 2}")
            await ledger.trail.append(replace(entry, action=f"token.{n % 3}"))
        numbers = [entry.number for entry in await all_of(ledger, actor="user:bob")]
        assert numbers == [2, 4, 6]
        found = await all_of(ledger, actor="user:bob", target="token:2")
        assert [entry.number for entry in found] == [6]
        assert [e.number for e in await all_of(ledger, action="token.1", after=2)] == [5]
        limited = [entry.number async for entry in ledger.trail.entries(after=1, limit=3)]
        assert limited == [2, 3, 4]
        assert await all_of(ledger, actor="user:carol") == []

    async def test_what_is_long_or_unprintable_is_cut(self, ledger: Ledger) -> None:
        """However long or odd what a client sent is, the entry is kept, on one line of JSON."""
        odd = replace(ENTRY, target="x" * 9000, agent="\n\0\ud800" * 900, address="y" * 900)
        made = await ledger.trail.append(odd)
        assert (len(made.target), len(made.agent), len(made.address)) == (500, 200, 64)
        assert b"\n" not in trail.packed(made)
        assert await all_of(ledger) == [made]
