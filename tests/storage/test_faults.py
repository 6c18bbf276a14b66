"""Object stores behind a proxy that breaks things: the truth in time, or StorageUnavailable."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import boto3
import pytest
from botocore.config import Config
from ulid import ULID

from app.storage.base import Storage
from tests.servers import azurite as azure
from tests.servers import gcs, s3
from tests.servers.plans import Answer, Fault, Injected, Plan, Rule, Seeded, nothing
from tests.storage import faulty
from tests.storage.faulty import BODIES, BOUND, CALLS, VERIFIED, Call, Case, Lane, Lie, Store

SOAK = bool(os.environ.get("SOAK"))
"""Try every fault; otherwise those that stand for the others."""
LANES = 4
SEED = 20_261_124
TURNS = 20 if SOAK else 2
READ_TIMEOUT = 2.0
"""Seconds; what is silent is given up after it."""
TIMES = {"connect_timeout": READ_TIMEOUT, "read_timeout": READ_TIMEOUT, "attempts": 3}
PATIENT = {"connect_timeout": 30, "read_timeout": 30, "attempts": 3}
"""Where nothing is broken a store may be slow."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BREAKING = tuple(fault for fault in Fault if fault not in (Fault.FLIPPED, Fault.SPOILED))
"""What a client can see to be broken."""
OFTEN = BREAKING if SOAK else (Fault.CUT, Fault.LOST, Fault.UNANSWERED)
ONCE = BREAKING if SOAK else (Fault.SILENT, Fault.LOST, Fault.TRUNCATED)


def seaweed() -> Store:
    """SeaweedFS."""
    server, prefix = s3.seaweed(), str(ULID())

    def unfinished(folder: str) -> Sequence[str]:
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=s3.REGION,
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        found = client.list_multipart_uploads(Bucket=s3.BUCKET, Prefix=f"{prefix}/{folder}/")
        client.close()
        return [upload["Key"] for upload in found.get("Uploads", ())]

    def said(status: int, code: str) -> Answer:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Later</Message></Error>"
        return Answer(status, "Later", ("Content-Type: application/xml",), body.encode())

    return Store(
        url=f"s3://{s3.BUCKET}/{prefix}",
        port=int(server.endpoint_url.rpartition(":")[2]),
        options=lambda url, times: {**server.options, **times, "endpoint_url": url},
        busy=(said(503, "SlowDown"), said(500, "InternalError"), said(429, "TooManyRequests")),
        unfinished=unfinished,
    )


def google() -> Store:
    """A strict Google Cloud Storage. What was begun there, nobody pays for."""
    server = gcs.gcs()

    def said(status: int) -> Answer:
        body = {"error": {"code": status, "message": "Later"}}
        content = json.dumps(body).encode()
        return Answer(status, "Later", ("Content-Type: application/json",), content)

    return Store(
        url=f"gs://{gcs.BUCKET}/{ULID()}",
        port=int(server.endpoint_url.rpartition(":")[2]),
        options=lambda url, times: {**server.options, **times, "endpoint_url": url},
        busy=(said(503), said(500), said(429)),
        unfinished=lambda folder: (),
    )


def azurite() -> Store:
    """Azurite. Blocks that were never committed go by themselves."""
    server = azure.azurite()

    def said(status: int, code: str) -> Answer:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Later</Message></Error>"
        headers = ("Content-Type: application/xml", f"x-ms-error-code: {code}")
        return Answer(status, "Later", headers, body.encode())

    return Store(
        url=f"azure://{azure.CONTAINER}/{ULID()}",
        port=server.port,
        options=lambda url, times: {
            **server.options,
            **times,
            "account_url": f"{url}/{azure.ACCOUNT}",
        },
        busy=(
            said(503, "ServerBusy"),
            said(500, "InternalError"),
            said(500, "OperationTimedOut"),
        ),
        unfinished=lambda folder: (),
    )


STORES = (seaweed, google, azurite)


@pytest.fixture(params=STORES, ids=lambda open_: open_.__name__)
def store(request: pytest.FixtureRequest) -> Store:
    """Every store in turn, at a prefix of its own."""
    found: Store = request.param()
    return found


@pytest.fixture
async def direct(store: Store) -> AsyncIterator[Storage]:
    """The storage without a proxy."""
    async with store.opened(PATIENT) as storage:
        yield storage


@pytest.fixture
async def lane(store: Store) -> AsyncIterator[Lane]:
    """The storage with a proxy."""
    async with store.faulty(TIMES) as lane:
        yield lane


@pytest.fixture
async def lanes(store: Store) -> AsyncIterator[Sequence[Lane]]:
    """Several, each with a proxy of its own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(store.faulty(TIMES)) for _ in range(LANES)]


@pytest.fixture
def folder() -> str:
    """What the keys of this test begin with."""
    return str(ULID())


async def judged(call: Call, case: Case, wrongs: list[str], *, must: bool = False) -> bool:
    """Make the call; what is wrong with what came of it is added to ``wrongs``."""
    begun = time.monotonic()
    where = "/".join(case.key.split("/")[2:])
    try:
        done = await call(case)
    except (Lie, TimeoutError) as wrong:
        wrongs.append(f"{where}: {wrong!r}")
        return False
    if must and not done:
        wrongs.append(f"{where}: {time.monotonic() - begun:.1f} s, {case.failures}")
    return done


class Trial:
    """Calls that are made while something goes wrong; ``wrongs`` are those that lied."""

    def __init__(self, direct: Storage, lanes: Sequence[Lane], calls: Sequence[Call]) -> None:
        self.wrongs: list[str] = []
        self._direct = direct
        self._lanes = lanes
        self._calls = calls
        self.folder = str(ULID())

    async def all_at_once(self, plan: Plan, *, lane: int = 0) -> list[bool]:
        """Make every call at the same time; which of them succeeded."""
        return await self._all_at_once(plan, self._lanes[lane])

    async def _all_at_once(self, plan: Plan, lane: Lane) -> list[bool]:
        lane.proxy.plan = plan
        turn = ULID()
        return await asyncio.gather(
            *(
                judged(call, self._case(lane, f"{turn}/{call.__name__}"), self.wrongs)
                for call in self._calls
            )
        )

    async def each_request(self, fault: Injected, *, must: bool) -> None:
        """Make every call again and again, each time with another one of its requests broken."""
        left = iter(self._calls)
        turn = ULID()

        async def work(lane: Lane) -> None:
            for call in left:
                skip, hit = 0, True
                while hit:
                    lane.proxy.plan = rule = Rule(fault, times=1, skip=skip)
                    case = self._case(lane, f"{turn}/{call.__name__}/{skip}")
                    await judged(call, case, self.wrongs, must=must)
                    skip, hit = skip + 1, rule.hits > 0
                assert skip > 1, f"{call.__name__} asked nothing"

        await asyncio.gather(*map(work, self._lanes))

    def _case(self, lane: Lane, key: str) -> Case:
        return Case(lane.storage, self._direct, f"{self.folder}/{key}")


async def test_nothing_goes_wrong(direct: Storage, lane: Lane, store: Store, folder: str) -> None:
    """Without a fault every call succeeds through the proxy, and is asked of it."""
    wrongs: list[str] = []
    for call in CALLS:
        before = len(lane.proxy.seen)
        case = Case(lane.storage, direct, f"{folder}/{call.__name__}")
        await judged(call, case, wrongs, must=True)
        assert len(lane.proxy.seen) > before
    assert not wrongs
    assert not store.unfinished(folder)


@pytest.mark.parametrize("fault", OFTEN, ids=lambda fault: fault.name.lower())
async def test_everything_breaks(direct: Storage, lane: Lane, fault: Fault) -> None:
    """Where every request breaks, no call takes long or says what is not so."""
    # A body that stalls goes on where it stopped, so that each of its halves has a time-out.
    calls = [call for call in CALLS if fault is not Fault.STALLED or call not in BODIES]
    trial = Trial(direct, [lane], calls)
    await trial.all_at_once(Rule(fault))
    assert not trial.wrongs


@pytest.mark.parametrize("fault", ONCE, ids=lambda fault: fault.name.lower())
async def test_one_request_breaks(
    direct: Storage, lanes: Sequence[Lane], store: Store, fault: Fault
) -> None:
    """Whichever one request breaks, the call succeeds all the same; no upload is left behind."""
    trial = Trial(direct, lanes, CALLS)
    await trial.each_request(fault, must=True)
    assert not trial.wrongs
    assert not store.unfinished(trial.folder)


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
async def test_the_store_is_busy(
    direct: Storage, lanes: Sequence[Lane], store: Store, done: bool
) -> None:
    """A store that puts us off is asked again, then given up, whether it did it or not."""
    trial = Trial(direct, lanes, CALLS)
    said = [busy._replace(done=done) for busy in store.busy]
    await trial.each_request(said[0], must=True)
    plans = enumerate(map(Rule, said))
    await asyncio.gather(*(trial.all_at_once(plan, lane=number) for number, plan in plans))
    assert not trial.wrongs


async def test_bytes_change_on_their_way_there(
    direct: Storage, lanes: Sequence[Lane], store: Store
) -> None:
    """A store is not made to keep other bytes than ours."""
    calls = [call for call in CALLS if call.__name__.startswith(("create", "put"))]
    trial = Trial(direct, lanes, calls)
    await trial.each_request(Fault.SPOILED, must=False)
    await trial.all_at_once(Rule(Fault.SPOILED))
    assert not trial.wrongs
    assert not store.unfinished(trial.folder)


async def test_bytes_change_on_their_way_back(direct: Storage, lane: Lane) -> None:
    """A body that is not what was written is not taken for it."""
    trial = Trial(direct, [lane], [call for call in CALLS if call in VERIFIED])
    await trial.each_request(Fault.FLIPPED, must=False)
    await trial.all_at_once(Rule(Fault.FLIPPED))
    assert not trial.wrongs


@pytest.mark.parametrize("turn", range(TURNS))
async def test_much_goes_wrong(direct: Storage, lane: Lane, store: Store, turn: int) -> None:
    """Where a third of all requests has some fault or other, there is no lie either."""
    done = (*BREAKING, *store.busy, *(busy._replace(done=True) for busy in store.busy))
    trial = Trial(direct, [lane], CALLS)
    assert any(await trial.all_at_once(Seeded(SEED + turn, 0.3, done)))
    assert not trial.wrongs


async def test_nobody_listens(direct: Storage, store: Store) -> None:
    """A store that is down is told in time, and asked again when it is up."""
    async with store.faulty(PATIENT) as lane:  # a refusal comes at once, whatever the time-outs
        trial = Trial(direct, [lane], CALLS)
        with lane.proxy.refusing():
            assert not any(await trial.all_at_once(nothing))
        assert all(await trial.all_at_once(nothing))
        assert not trial.wrongs


async def test_a_long_listing_is_whole(direct: Storage, lane: Lane, folder: str) -> None:
    """A listing of several pages, each with faults, is the whole one or none."""
    keys = [f"{folder}/{n:05}" for n in range(1_100)]
    left = iter(keys)

    async def write() -> None:
        for key in left:
            assert await direct.create(key, b"")

    await asyncio.gather(*(write() for _ in range(32)))
    case = Case(lane.storage, direct, f"{folder}/")
    succeeded = 0
    for turn in range(3):
        lane.proxy.plan = Seeded(SEED + turn, 0.3, BREAKING)
        said = await case.tried(case.listed())
        assert said == keys or isinstance(said, Exception)
        succeeded += said == keys
    assert succeeded


async def test_an_upload_is_given_up(direct: Storage, lanes: Sequence[Lane], folder: str) -> None:
    """A put that is cancelled while the store is silent ends in time and leaves nothing seen."""

    async def give_up(lane: Lane, skip: int) -> None:
        lane.proxy.plan = Rule(Fault.SILENT, skip=skip)
        case = Case(lane.storage, direct, f"{folder}/{skip}")
        putting = asyncio.create_task(case.put(faulty.LARGE))
        await asyncio.sleep(READ_TIMEOUT / 2)
        early = not putting.cancel()
        done, _ = await asyncio.wait({putting}, timeout=BOUND)
        assert done
        assert early or putting.cancelled() or putting.exception() is None
        await case.expect(None, faulty.LARGE)

    await asyncio.gather(*(give_up(lane, skip) for skip, lane in enumerate(lanes)))
