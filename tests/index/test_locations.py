"""Presigned URLs are asked for once in the half of their life, and kept within bounds."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from app import errors
from app.index import Index
from app.index.locations import OVERHEAD, Locations
from app.storage import s3, window
from app.storage.memory import MemoryStorage
from tests.index.places import ALICE, Make, Place
from tests.servers.s3_small import small_store

LIFE = timedelta(seconds=300)
KEY = "blobs/demo/01J/demo-1.0.tar.gz"
NAME = "demo-1.0.tar.gz"


class Clock:
    """A clock that a test sets: seconds since 1970, at first the beginning of a window."""

    def __init__(self) -> None:
        self.now = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now


class Signing(MemoryStorage):
    """A storage that signs as the object stores do, in its own time, and counts."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.signed: list[str] = []
        self.broken = False
        self.ends: float | None = None
        """When the credentials that sign do."""

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        self.signed.append(key)
        await asyncio.sleep(0.01)
        if self.broken:
            raise errors.StorageUnavailable("The keys that sign are not there")
        opened = window.opened(datetime.fromtimestamp(self.clock.now, UTC), expires_in)
        ends = min((opened + expires_in).timestamp(), self.ends or float("inf"))
        return f"https://bucket.example/{key}?Expires={int(ends)}&signature=secret"


@pytest.fixture
def clock() -> Clock:
    """The clock of the storage and of whoever keeps its URLs."""
    return Clock()


@pytest.fixture
def storage(clock: Clock) -> Signing:
    """A storage that has URLs."""
    return Signing(clock)


@pytest.fixture
def locations(storage: Signing, clock: Clock) -> Locations:
    """Its URLs, each good for five minutes."""
    return Locations(storage, expires_in=LIFE, clock=clock)


async def test_a_url_is_signed_once_in_half_its_life(
    locations: Locations, storage: Signing, clock: Clock
) -> None:
    """Until the window closes it is the same and costs nothing; then it is another."""
    first = await locations.of(KEY, NAME)
    clock.now += 149.9
    assert await locations.of(KEY, NAME) == first
    assert len(storage.signed) == 1
    clock.now += 0.1
    assert await locations.of(KEY, NAME) != first
    assert len(storage.signed) == 2


async def test_a_window_that_began_earlier_ends_earlier(
    locations: Locations, storage: Signing, clock: Clock
) -> None:
    """What is signed late in a window is kept for the rest of it only."""
    clock.now += 140
    first = await locations.of(KEY, NAME)
    clock.now += 10
    assert await locations.of(KEY, NAME) != first


async def test_replicas_agree(storage: Signing, clock: Clock) -> None:
    """Within a window, whoever signs and whenever, the URL is the same."""
    found = set()
    for _ in range(3):
        found.add(await Locations(storage, expires_in=LIFE, clock=clock).of(KEY, NAME))
        clock.now += 40
    assert len(found) == 1


async def test_many_first_requests_sign_once(locations: Locations, storage: Signing) -> None:
    """A hundred at the same moment wait for one signature."""
    found = await asyncio.gather(*(locations.of(KEY, NAME) for _ in range(100)))
    assert len(set(found)) == 1
    assert storage.signed == [KEY]


async def test_whoever_leaves_takes_no_signature_away(
    locations: Locations, storage: Signing
) -> None:
    """A request that is cancelled does not end the signing that others wait for."""
    leaving = asyncio.create_task(locations.of(KEY, NAME))
    await asyncio.sleep(0)
    staying = asyncio.create_task(locations.of(KEY, NAME))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying is not None
    assert storage.signed == [KEY]


async def test_a_failure_is_not_kept(locations: Locations, storage: Signing) -> None:
    """All who waited are told; whoever comes next asks anew."""
    storage.broken = True
    found = await asyncio.gather(
        *(locations.of(KEY, NAME) for _ in range(3)), return_exceptions=True
    )
    assert {type(one) for one in found} == {errors.StorageUnavailable}
    storage.broken = False
    assert await locations.of(KEY, NAME) is not None
    assert len(storage.signed) == 2


async def test_long_lives_are_not_kept_long(storage: Signing, clock: Clock) -> None:
    """With URLs for a day, one is still asked for every five minutes: credentials change."""
    locations = Locations(storage, expires_in=timedelta(days=1), clock=clock)
    first = await locations.of(KEY, NAME)
    clock.now += 299
    await locations.of(KEY, NAME)
    assert len(storage.signed) == 1
    clock.now += 1
    assert await locations.of(KEY, NAME) == first
    assert len(storage.signed) == 2


@pytest.mark.parametrize("left", [2, 40, 140, 299])
async def test_urls_of_credentials_that_end_soon(
    locations: Locations, storage: Signing, clock: Clock, left: int
) -> None:
    """A URL that ends with its credentials is handed out for half of its life, never beyond it."""
    storage.ends = clock.now + left
    first = await locations.of(KEY, NAME)
    clock.now += min(left, 300) / 2 - 0.1
    assert await locations.of(KEY, NAME) == first
    storage.ends += 3600  # they were renewed
    clock.now += 0.2
    assert await locations.of(KEY, NAME) != first
    assert len(storage.signed) == 2


async def test_a_session_that_ends_before_the_half_life() -> None:
    """A URL of S3 whose session token ends in eight minutes is handed out for four of them."""
    late = 0
    with small_store() as store, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_STS", store.url)
        store.lives = timedelta(minutes=8)
        role = {"role_arn": "arn:aws:iam::123456789012:role/index"}
        async with s3.connect("s3://packages/index", {**store.options, **role}) as storage:
            locations = Locations(
                storage, expires_in=timedelta(hours=12), clock=lambda: time.time() + late
            )
            first = await locations.of(KEY, NAME)
            late = 120
            assert await locations.of(KEY, NAME) == first
            late = 245
            later = await locations.of(KEY, NAME)
    assert first is not None
    assert later is not None
    assert token_of(later) != token_of(first)


def token_of(url: str) -> str:
    """Whose access key signed it."""
    return url.partition("X-Amz-Credential=")[2].partition("%2F")[0]


async def test_no_url_is_asked_for_that_no_store_signs(storage: Signing, clock: Clock) -> None:
    """Whoever wants a month gets a week: the longest that stores sign for."""
    week = Locations(storage, expires_in=timedelta(days=7), clock=clock)
    month = Locations(storage, expires_in=timedelta(days=30), clock=clock)
    assert await month.of(KEY, NAME) == await week.of(KEY, NAME)


async def test_a_clock_set_back_makes_nothing_last(
    locations: Locations, storage: Signing, clock: Clock
) -> None:
    """A URL of what is now the future is not handed out."""
    await locations.of(KEY, NAME)
    clock.now -= 3600
    await locations.of(KEY, NAME)
    assert len(storage.signed) == 2


async def test_what_is_kept_is_bounded(storage: Signing, clock: Clock) -> None:
    """What was asked for last stays; what was not asked for longest goes."""
    locations = Locations(storage, expires_in=LIFE, clock=clock, limit=10 * (OVERHEAD + 100))
    for number in range(1000):
        await locations.of(f"{number:04d}", NAME)
        await locations.of("often", NAME)
    assert len(storage.signed) == 1001
    await locations.of("0999", NAME)
    assert len(storage.signed) == 1001
    await locations.of("0000", NAME)
    assert len(storage.signed) == 1002


async def test_a_url_longer_than_the_bound_is_handed_out(storage: Signing, clock: Clock) -> None:
    """It is signed each time."""
    locations = Locations(storage, expires_in=LIFE, clock=clock, limit=1)
    assert await locations.of(KEY, NAME) == await locations.of(KEY, NAME)
    assert len(storage.signed) == 2


async def test_storages_without_urls(clock: Clock) -> None:
    """None is an answer: the file is streamed."""
    assert await Locations(MemoryStorage(), expires_in=LIFE, clock=clock).of(KEY, NAME) is None


async def test_an_index_that_streams_asks_for_no_url(
    place: Place, make: Make, storage: Signing
) -> None:
    """Where bytes go through the service, nothing is signed."""
    file = (await place.index.publish(make(), ALICE)).file
    assert await Index(storage, place.cache, redirect=False).location(file) is None
    assert storage.signed == []
    assert await Index(storage, place.cache).location(file) is not None
