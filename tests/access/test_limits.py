"""Limits: sliding windows, shared and alone, and what they hold up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import errors
from app.access import limits as module
from app.access.authentication import Authenticator, Proof
from app.access.ledger import Ledger
from app.access.ledger_sql import SqlLedger
from app.access.limits import Limits, network_of
from app.access.options import LimitOptions
from app.access.sql import SqlAccess
from tests.access.ledgers import opened
from tests.contracts.access import PASSWORD

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
FEW = LimitOptions(logins=3, all_logins=8, tokens=2, searches=2, replicas=2)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Down:
    """A ledger that does not answer, as a server that is gone does not."""

    async def count(self, key: str, window: timedelta, now: datetime) -> int:
        raise errors.AccessUnavailable("down")

    async def add(self, key: str, window: timedelta, now: datetime) -> int:
        raise errors.AccessUnavailable("down")

    async def sweep(self, now: datetime) -> int:
        raise errors.AccessUnavailable("down")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that limits go by; what was over its limit is asked about again at once."""
    monkeypatch.setattr(module, "SHUT", 0.0)
    return Clock()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """A ledger in SQLite."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/ledger.db") as ledger:
        yield ledger


async def over(limits: Limits, address: str, name: str = "alice") -> bool:
    """Whether a login would be refused."""
    try:
        await limits.check(*limits.login(address, name))
    except errors.TooManyAttempts:
        return True
    return False


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("testclient", "testclient"),
    ],
)
def test_what_is_one_client(address: str, client: str) -> None:
    """An IPv4 address; of IPv6 the /64, all of which one customer has."""
    assert network_of(address) == client


async def test_t18_failures_of_one_address_are_limited(ledger: SqlLedger, clock: Clock) -> None:
    """Whatever names are tried, after so many failures the address is refused; others are not."""
    limits = Limits(ledger.attempts, FEW, now=clock)
    for n in range(3):
        assert not await over(limits, "10.0.0.1", f"user{n}")
        await limits.count(*limits.login("10.0.0.1", f"user{n}"))
    assert await over(limits, "10.0.0.1", "somebody else")
    assert not await over(limits, "10.0.0.2", "user0")


async def test_the_window_slides(ledger: SqlLedger, clock: Clock) -> None:
    """Five minutes after a failure, and not before, there is room for another."""
    limits = Limits(ledger.attempts, FEW, now=clock)
    for minute in range(3):
        clock.now = NOW + timedelta(minutes=minute)
        await limits.count(*limits.login("10.0.0.1", "alice"))
    clock.now = NOW + timedelta(minutes=4, seconds=59)
    assert await over(limits, "10.0.0.1")
    clock.now = NOW + timedelta(minutes=5)
    assert not await over(limits, "10.0.0.1")


async def test_failures_of_everybody_are_limited(ledger: SqlLedger, clock: Clock) -> None:
    """However many addresses guess, together they are limited too."""
    limits = Limits(ledger.attempts, FEW, now=clock)
    for n in range(8):
        assert not await over(limits, f"10.0.0.{n}")
        await limits.count(*limits.login(f"10.0.0.{n}", f"user{n}"))
    assert await over(limits, "10.0.1.1", "alice")


async def test_replicas_count_together(ledger: SqlLedger, clock: Clock) -> None:
    """What one process counts another sees."""
    one, other = (Limits(ledger.attempts, FEW, now=clock) for _ in range(2))
    for n in range(3):
        await (one, other)[n % 2].count(*one.login("10.0.0.1", "alice"))
    assert await over(one, "10.0.0.1")
    assert await over(other, "10.0.0.1")


async def test_i20_without_the_ledger_limits_are_stricter(clock: Clock) -> None:
    """A process alone allows its share of the number, never any number."""
    limits = Limits(Down(), FEW, now=clock)
    assert not await over(limits, "10.0.0.1")
    await limits.count(*limits.login("10.0.0.1", "alice"))  # 3 // 2 is 1
    assert await over(limits, "10.0.0.1")
    mark = limits.search("10.0.0.9")
    await limits.spend(mark)
    with pytest.raises(errors.TooManyAttempts):
        await limits.spend(mark)
    clock.now = NOW + timedelta(minutes=5)
    assert not await over(limits, "10.0.0.1")


async def test_what_was_counted_before_an_outage_counts_in_it(
    ledger: SqlLedger, clock: Clock
) -> None:
    """The ledger gone, a guesser does not begin anew."""
    limits = Limits(ledger.attempts, FEW, now=clock)
    await limits.count(*limits.login("10.0.0.1", "alice"))
    limits._attempts = Down()
    assert await over(limits, "10.0.0.1")


async def test_what_is_spent_is_limited(ledger: SqlLedger, clock: Clock) -> None:
    """Searches and the like count whether or not they succeed; 0 limits nothing."""
    limits = Limits(ledger.attempts, FEW, now=clock)
    for _ in range(2):
        await limits.spend(limits.search("10.0.0.1"))
    with pytest.raises(errors.TooManyAttempts, match="try again in 60 seconds"):
        await limits.spend(limits.search("10.0.0.1"))
    for _ in range(100):
        await limits.spend(limits.upload("user:alice"))


async def test_of_many_at_once_no_more_than_the_limit_pass(ledger: SqlLedger, clock: Clock) -> None:
    """Spent at the same moment, exactly as many pass as may."""
    options = LimitOptions(searches=5)
    limits = [Limits(ledger.attempts, options, now=clock) for _ in range(2)]
    answers = await asyncio.gather(
        *(limits[n % 2].spend(limits[0].search("10.0.0.1")) for n in range(20)),
        return_exceptions=True,
    )
    assert answers.count(None) == 5


class Watched:
    """Attempts that say how often they were asked."""

    def __init__(self, ledger: Ledger) -> None:
        self.asked = 0
        self._attempts = ledger.attempts

    async def count(self, key: str, window: timedelta, now: datetime) -> int:
        self.asked += 1
        return await self._attempts.count(key, window, now)

    async def add(self, key: str, window: timedelta, now: datetime) -> int:
        self.asked += 1
        return await self._attempts.add(key, window, now)

    async def sweep(self, now: datetime) -> int:
        return await self._attempts.sweep(now)


def logins(access: SqlAccess, watched: Watched, options: LimitOptions = FEW) -> Authenticator:
    """Who asks, with these limits."""
    return Authenticator(
        access,
        access.ledger,
        Limits(watched, options),
        unused_after=timedelta(days=90),
        used=lambda id, now: None,
    )


def ignore(*_: object, **__: object) -> None:
    """Keep no record."""


async def attempt(logins: Authenticator, password: str, name: str = "alice") -> str:
    """How a login from one address ends."""
    try:
        identity = await logins.identify(Proof(name, password, "10.0.0.1"), ignore)
    except errors.Refused as refused:
        return type(refused).__name__
    return identity.actor.id


async def test_t18_a_right_password_does_not_help_who_guessed_too_often(
    access: SqlAccess,
) -> None:
    """Over the limit, the right password is refused like any other: 429, not looked at."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    ends = [await attempt(asked, f"guess number {n}") for n in range(5)]
    assert ends == ["Unauthenticated"] * 3 + ["TooManyAttempts"] * 2
    assert await attempt(asked, PASSWORD) == "TooManyAttempts"


async def test_success_takes_nothing_off_the_count(access: SqlAccess) -> None:
    """A guesser who has an account of their own gains nothing from it."""
    await access.add_user("alice", PASSWORD)
    await access.add_user("mallory", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    assert await attempt(asked, "guess one, long") == "Unauthenticated"
    assert await attempt(asked, "guess two, long") == "Unauthenticated"
    assert await attempt(asked, PASSWORD, "mallory") == "mallory"
    assert await attempt(asked, "guess three, long") == "Unauthenticated"
    assert await attempt(asked, "guess four, long") == "TooManyAttempts"


async def test_whoever_proved_a_password_is_not_locked_out(access: SqlAccess) -> None:
    """Guesses of others from the same address do not hold up who was let in a moment ago."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    assert await attempt(asked, PASSWORD) == "alice"
    for n in range(5):
        await attempt(asked, f"guess number {n}", "bob")
    assert await attempt(asked, PASSWORD) == "alice"
    assert await attempt(asked, "another password") == "TooManyAttempts"


async def test_remembered_logins_cost_nothing(access: SqlAccess) -> None:
    """An installer's every request after the first asks no count, and writes none."""
    await access.add_user("alice", PASSWORD)
    watched = Watched(access.ledger)
    asked = logins(access, watched)
    assert await attempt(asked, PASSWORD) == "alice"
    before = watched.asked
    assert [await attempt(asked, PASSWORD) for _ in range(5)] == ["alice"] * 5
    assert watched.asked == before


async def test_a_changed_password_is_a_failure_at_once(access: SqlAccess) -> None:
    """What was proved a moment ago is a guess once it is not the password any more."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    assert await attempt(asked, PASSWORD) == "alice"
    await access.set_password("alice", "quite another passphrase")
    ends = [await attempt(asked, secret) for secret in (PASSWORD, "one", "two", "three")]
    assert ends == ["Unauthenticated"] * 3 + ["TooManyAttempts"]
    assert await attempt(asked, PASSWORD) == "TooManyAttempts"


async def test_a_guess_repeated_counts_once(access: SqlAccess) -> None:
    """A job with a stale password does not lock out its neighbours; a new guess counts."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    assert {await attempt(asked, "a stale one") for _ in range(20)} == {"Unauthenticated"}
    assert await attempt(asked, PASSWORD) == "alice"
    ends = [await attempt(asked, f"guess number {n}") for n in range(3)]
    assert ends == ["Unauthenticated"] * 2 + ["TooManyAttempts"]
    assert await attempt(asked, "a stale one") == "TooManyAttempts"


async def test_a_password_set_to_what_was_guessed_is_right(access: SqlAccess) -> None:
    """What was a wrong guess is looked at again each time."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    assert await attempt(asked, "quite another passphrase") == "Unauthenticated"
    await access.set_password("alice", "quite another passphrase")
    assert await attempt(asked, "quite another passphrase") == "alice"


@pytest.mark.parametrize(("name", "secret"), [("", ""), ("", PASSWORD), ("alice", "")])
async def test_half_a_credential_is_no_guess(access: SqlAccess, name: str, secret: str) -> None:
    """A missing name or password is refused without a look, and counts for nothing."""
    await access.add_user("alice", PASSWORD)
    watched = Watched(access.ledger)
    asked = logins(access, watched)
    assert {await attempt(asked, secret, name) for _ in range(20)} == {"Unauthenticated"}
    assert watched.asked == 0


async def test_guesses_at_once_are_no_more_than_guesses_in_turn(access: SqlAccess) -> None:
    """Sent together, no more passwords are looked at than the limit says."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    ends = await asyncio.gather(*(attempt(asked, f"guess number {n}") for n in range(20)))
    assert sorted(ends) == ["TooManyAttempts"] * 17 + ["Unauthenticated"] * 3


async def test_an_installers_connections_log_in_together(access: SqlAccess) -> None:
    """Fifty requests at once with the right password are all let in, whatever the limit."""
    await access.add_user("alice", PASSWORD)
    asked = logins(access, Watched(access.ledger))
    ends = await asyncio.gather(*(attempt(asked, PASSWORD) for _ in range(50)))
    assert set(ends) == {"alice"}
