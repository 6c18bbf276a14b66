"""The cache in DynamoDB: its table, its processes, and what may go wrong between us and it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain, islice
from typing import Any

import msgspec
import pytest
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import Cache, Query
from app.cache.dynamodb import DynamoDBCache, connect, records
from app.config import Settings
from app.dynamodb.options import DynamoDBOptions
from app.dynamodb.table import pauses
from app.main import create_app
from app.testing.cache import (
    ALPHA,
    BETA,
    CHANGE,
    assert_whole,
    make_change,
    make_file,
    make_project,
)
from tests.servers import dynamodb, wire
from tests.servers.faults import FaultProxy, between
from tests.servers.plans import Answer, Fault, Rule, Seeded, nothing
from tests.serving import serving_ready

KEYS = [
    {"AttributeName": "pk", "KeyType": "HASH"},
    {"AttributeName": "sk", "KeyType": "RANGE"},
]


def refusal(code: str, *, status: int = 400, **more: object) -> Answer:
    """An answer that is an error, as DynamoDB words it."""
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "No.", **more}
    headers = ("Content-Type: application/x-amz-json-1.0",)
    return Answer(status, "Refused", headers, json.dumps(body).encode())


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The URL of a cache that nobody has opened yet."""
    async with dynamodb.place() as found:
        yield found


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy before DynamoDB."""
    with between(dynamodb.server().port) as found:
        yield found


@asynccontextmanager
async def opened(
    url: str, endpoint_url: str | None = None, **options: object
) -> AsyncIterator[Cache]:
    """The cache, patient; ``options`` take the place of those of the server."""
    chosen = dynamodb.options_at(endpoint_url or dynamodb.server().endpoint_url)
    async with connect(url, {**chosen, "timeout": 60, "read_timeout": 30, **options}) as cache:
        yield cache


@contextmanager
def hurried(cache: Cache, seconds: float = 0.5) -> Iterator[None]:
    """The cache has little patience while the block runs, in which nothing is to succeed."""
    assert isinstance(cache, DynamoDBCache)
    before, cache._table.timeout = cache._table.timeout, seconds
    try:
        yield
    finally:
        cache._table.timeout = before


def table_of(url: str) -> str:
    """The name of the table."""
    return f"{url.rpartition('/')[2]}-cache"


async def describe(url: str) -> dict[str, Any]:
    """What the server says of the table."""
    answer = await dynamodb.ask("DescribeTable", TableName=table_of(url))
    table: dict[str, Any] = answer.json()["Table"]
    return table


async def make_table(url: str, **given: object) -> None:
    """The table as somebody else would make it; ``given`` takes the place of any parameter."""
    strings = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
    parameters: dict[str, object] = {
        "KeySchema": KEYS,
        "AttributeDefinitions": strings,
        "BillingMode": "PAY_PER_REQUEST",
    }
    answer = await dynamodb.ask("CreateTable", TableName=table_of(url), **(parameters | given))
    assert answer.status_code == 200, answer.text


async def items(url: str) -> list[Mapping[str, Any]]:
    """All items of the table."""
    found: list[Mapping[str, Any]] = []
    more: dict[str, object] = {}
    while True:
        answer = (await dynamodb.ask("Scan", TableName=table_of(url), **more)).json()
        found += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return found
        more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


async def asked_everything(cache: Cache) -> list[object]:
    """What every method answers or raises."""
    calls = [
        cache.project(ALPHA),
        cache.outline(ALPHA, make_file().filename),
        cache.file(ALPHA, make_file().filename),
        cache.projects(),
        cache.search(Query(names=("a",))),
        cache.save(make_file("9.9"), CHANGE),
        cache.save_project(make_project(sequence=99), CHANGE),
        cache.restore([make_project(BETA)], CHANGE),
        cache.forget(ALPHA, None, CHANGE),
        cache.record(CHANGE),
        cache.serial(),
        cache.shown_serial(),
        cache.changes(0),
        cache.prune(1, CHANGE),
        cache.clear(),
        cache.built(),
        cache.set_built(),
    ]
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def test_what_was_cleared_is_removed(url: str) -> None:
    """Items that nobody reads any more do not stay in the table."""
    async with opened(url) as cache:
        every = [NormalizedName(f"p{n}") for n in range(30)]
        await cache.restore([make_project(n, make_file("1.0", n)) for n in every], CHANGE)
        await cache.save(make_file("2.0", every[0]), CHANGE)
        await cache.forget(every[0], None, CHANGE)
        await cache.clear()
        await cache.save_project(make_project(), CHANGE)
        while len(await items(url)) > 3:
            await asyncio.sleep(0.1)
        assert await cache.project(ALPHA) is not None
        assert [c.serial for c in await cache.changes(0)] == [33]


async def test_a_new_table_has_what_is_needed(url: str) -> None:
    """It is paid by request, and has no index and no stream."""
    async with opened(url):
        table = await describe(url)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == KEYS
    assert not table.get("GlobalSecondaryIndexes")
    assert not table.get("LocalSecondaryIndexes")
    assert not table.get("StreamSpecification")


async def test_a_table_that_is_there_is_taken_as_it_is(url: str) -> None:
    """Neither its capacity nor its tags are touched."""
    capacity = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9}
    tags = [{"Key": "team", "Value": "packaging"}]
    await make_table(url, BillingMode="PROVISIONED", ProvisionedThroughput=capacity, Tags=tags)
    before = await describe(url)
    async with opened(url) as cache:
        await cache.save_project(make_project(), CHANGE)
        assert await cache.save(make_file(), CHANGE) == 2
    after = await describe(url)
    changing = ("ItemCount", "TableSizeBytes")
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    asked = await dynamodb.ask("ListTagsOfResource", ResourceArn=after["TableArn"])
    assert asked.json()["Tags"] == tags


@pytest.mark.parametrize(
    "given",
    [
        {"KeySchema": KEYS[:1], "AttributeDefinitions": [{**KEYS[0], "AttributeType": "S"}]},
        {
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
            ]
        },
    ],
    ids=["no sort key", "a number"],
)
async def test_a_table_with_other_keys_is_refused(url: str, given: dict[str, Any]) -> None:
    """One line names the table, and says what to do."""
    attributes = [
        {k: v for k, v in one.items() if k != "KeyType"} for one in given["AttributeDefinitions"]
    ]
    await make_table(url, **(given | {"AttributeDefinitions": attributes}))
    with pytest.raises(errors.Misconfigured, match="choose another prefix") as caught:
        async with opened(url):
            pass
    assert table_of(url) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_table_removed_is_made_anew(url: str) -> None:
    """Whoever asks meanwhile is told to come again; then nothing is known, and it is not built."""
    async with opened(url) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await cache.set_built()
        for ask in (cache.project, cache.outline):
            await dynamodb.ask("DeleteTable", TableName=table_of(url))
            with pytest.raises(errors.CacheUnavailable, match="rebuilt"):
                await ask(ALPHA)
            assert not await cache.built()
            assert await cache.project(ALPHA) is None
        await dynamodb.ask("DeleteTable", TableName=table_of(url))
        with pytest.raises(errors.CacheUnavailable, match="rebuilt"):
            await cache.save(make_file("2.0"), CHANGE)
        await cache.clear(1_000)
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await cache.set_built()
        assert await cache.built()
        assert await cache.serial() == 1_001


async def test_nobody_waits_long_for_a_table_that_is_made_anew(url: str, proxy: FaultProxy) -> None:
    """However long that takes, whoever asks is told in time; when it is done, all goes on."""
    async with opened(url, proxy.url, timeout=4) as cache:
        table = {**await describe(url), "TableStatus": "DELETING"}
        await dynamodb.ask("DeleteTable", TableName=table_of(url))
        headers = ("Content-Type: application/x-amz-json-1.0",)
        leaving = Answer(200, "OK", headers, json.dumps({"Table": table}).encode())
        proxy.plan = Rule(leaving, skip=2)  # the two questions for a project
        begun = time.monotonic()
        with pytest.raises(errors.CacheUnavailable, match="rebuilt"):
            await cache.project(ALPHA)
        assert time.monotonic() - begun < 30
        proxy.plan = Rule(leaving, times=0)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await cache.project(ALPHA) is None
                    break
                except errors.CacheUnavailable:
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("code", "said"), [("AccessDeniedException", "AccessDenied"), (None, "choose another prefix")]
)
async def test_a_table_that_cannot_be_made_anew_is_unavailable(
    url: str, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, code: str | None, said: str
) -> None:
    """Whatever stands in the way, whoever asks is told to come again, and the log says why."""
    async with opened(url, proxy.url, timeout=4) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await dynamodb.ask("DeleteTable", TableName=table_of(url))
        if code is None:  # somebody made another one in between
            strings = [{"AttributeName": "other", "AttributeType": "S"}]
            keys = [{"AttributeName": "other", "KeyType": "HASH"}]
            await make_table(url, KeySchema=keys, AttributeDefinitions=strings)
            proxy.plan = Rule(refusal("ResourceNotFoundException"), times=2)
        else:
            proxy.plan = Rule(refusal(code), skip=2)  # the two questions for a project
        begun = time.monotonic()
        with pytest.raises(errors.CacheUnavailable, match="rebuilt"):
            await cache.project(ALPHA)
        assert time.monotonic() - begun < 20
        async with asyncio.timeout(20):
            while said not in caplog.text:
                await asyncio.sleep(0.05)
        proxy.plan = nothing
        if code is None:
            await dynamodb.ask("DeleteTable", TableName=table_of(url))
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await cache.project(ALPHA) is None
                    break
                except errors.CacheUnavailable:
                    await asyncio.sleep(0.1)


async def test_closing_does_not_wait_for_a_table(url: str, proxy: FaultProxy) -> None:
    """A table that is being made anew holds up no end of the service."""
    async with opened(url, proxy.url, timeout=4) as cache:
        table = {**await describe(url), "TableStatus": "DELETING"}
        await dynamodb.ask("DeleteTable", TableName=table_of(url))
        headers = ("Content-Type: application/x-amz-json-1.0",)
        leaving = Answer(200, "OK", headers, json.dumps({"Table": table}).encode())
        proxy.plan = Rule(leaving, skip=2)
        with pytest.raises(errors.CacheUnavailable, match="rebuilt"):
            await cache.project(ALPHA)
        begun = time.monotonic()
    assert time.monotonic() - begun < 20


def test_pauses_are_longer_each_time_and_nobody_elses() -> None:
    """Two that were refused at once do not come again at once; none waits more than a second."""
    one, other = (list(islice(pauses(), 12)) for _ in range(2))
    nominal = [min(0.025 * 2**n, 1.0) for n in range(12)]
    for seconds in (one, other):
        assert all(0.2 * n <= s <= n for s, n in zip(seconds, nominal, strict=True))
    assert not set(one) & set(other)


async def test_the_region_of_the_url_is_asked() -> None:
    """Requests are signed for the region that the URL names, and name its table."""
    heads: list[wire.Head] = []
    noting: list[asyncio.Task[Any] | None] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        noting.append(asyncio.current_task())
        if (head := await wire.read_head(reader)) is not None:
            heads.append(head)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(note, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(errors.CacheUnavailable, match="staging-cache"):
            async with opened(
                "dynamodb://eu-central-1/staging", f"http://127.0.0.1:{port}", timeout=3
            ):
                pass
        await asyncio.gather(*(task for task in noting if task is not None))
    scopes = [head.headers["authorization"].split("/")[2:4] for head in heads]
    assert scopes
    assert all(scope == ["eu-central-1", "dynamodb"] for scope in scopes)


async def test_prefixes_keep_caches_apart(url: str) -> None:
    """Two prefixes are two tables, and one's end is not the other's."""
    async with opened(url) as one, dynamodb.place() as elsewhere, opened(elsewhere) as other:
        await one.save_project(make_project(), CHANGE)
        assert await other.project(ALPHA) is None
        await other.save_project(make_project(BETA), CHANGE)
        await other.clear()
        assert await one.project(ALPHA) is not None
        assert await one.project(BETA) is None


@pytest.mark.parametrize(
    "code",
    [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "InternalServerError",
    ],
)
async def test_throttling_is_waited_out(url: str, proxy: FaultProxy, code: str) -> None:
    """What DynamoDB has no capacity for is asked again a little later."""
    async with opened(url, proxy.url) as cache:
        await cache.save_project(make_project(), CHANGE)
        proxy.plan = rule = Rule(refusal(code), times=3)
        assert await cache.save(make_file(), CHANGE) == 2
        assert rule.hits == 3
        proxy.plan = Rule(refusal(code), times=3)
        assert (await cache.project(ALPHA)) is not None
        assert [c.serial for c in await cache.changes(0)] == [1, 2]


@pytest.mark.parametrize(
    "reason", ["TransactionConflict", "ConditionalCheckFailed", "ThrottlingError"]
)
async def test_a_cancelled_transaction_is_made_anew(
    url: str, proxy: FaultProxy, reason: str
) -> None:
    """Whoever loses a race, or meets another transaction, looks again and tries again."""
    reasons = [{"Code": "None"}, {"Code": reason, "Message": "No."}]
    answer = refusal("TransactionCanceledException", CancellationReasons=reasons)
    async with opened(url, proxy.url) as cache:
        await cache.save_project(make_project(), CHANGE)
        proxy.plan = rule = Rule(answer, skip=2, times=1)
        change = make_change(filename=make_file().filename)
        assert await cache.save(make_file(), change) == 2
        assert rule.hits == 1
        await assert_whole(cache)


async def test_a_read_waits_for_the_transaction_under_way(url: str, proxy: FaultProxy) -> None:
    """A project that is being written is read once that is done, as new as its change."""
    reasons = [{"Code": "TransactionConflict", "Message": "No."}]
    answer = refusal("TransactionCanceledException", CancellationReasons=reasons)
    async with opened(url, proxy.url) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        proxy.plan = rule = Rule(answer, times=1)
        found = await cache.outline(ALPHA)
        assert found is not None
        assert rule.hits == 1


async def test_throttling_without_end_is_unavailable(url: str, proxy: FaultProxy) -> None:
    """Every method gives up in bounded time, in one line without a secret."""
    async with opened(url, proxy.url, secret_access_key="hunter2") as cache:
        await cache.save_project(make_project(), CHANGE)
        proxy.plan = Rule(refusal("ThrottlingException"))
        begun = time.monotonic()
        with hurried(cache):
            answers = await asked_everything(cache)
        for answer in answers:
            assert isinstance(answer, errors.CacheUnavailable)
            assert "\n" not in str(answer)
            assert "hunter2" not in str(answer) + str(answer.__cause__)
        assert time.monotonic() - begun < 50
        proxy.plan = Rule(refusal("ThrottlingException"), times=0)
        assert await cache.save(make_file(), CHANGE) == 2


async def test_an_endpoint_that_refuses_is_unavailable(url: str, proxy: FaultProxy) -> None:
    """Where nobody listens every method says so in bounded time; when they do, all goes on."""
    async with opened(url, proxy.url) as cache:
        await cache.save_project(make_project(), CHANGE)
        with proxy.refusing(), hurried(cache):
            begun = time.monotonic()
            answers = await asked_everything(cache)
            assert time.monotonic() - begun < 50
        assert all(isinstance(answer, errors.CacheUnavailable) for answer in answers)
        assert await cache.save(make_file(), CHANGE) == 2


async def test_silence_is_unavailable(url: str, proxy: FaultProxy) -> None:
    """An endpoint that takes requests and never answers holds nobody for longer than told."""
    async with opened(url, proxy.url, read_timeout=3) as cache:
        proxy.plan = Rule(Fault.SILENT)
        begun = time.monotonic()
        with hurried(cache), pytest.raises(errors.CacheUnavailable, match="did not answer in time"):
            await cache.project(ALPHA)
        assert time.monotonic() - begun < 30
        proxy.plan = Rule(Fault.SILENT, times=1)
        assert await cache.project(ALPHA) is None


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_done_twice_or_by_half(url: str, proxy: FaultProxy, seed: int) -> None:
    """Whatever befalls requests and answers, a write is done once, and all of it."""
    faults = (Fault.RESET, Fault.CUT, Fault.LOST, Fault.TRUNCATED, refusal("ThrottlingException"))
    async with opened(url, proxy.url) as cache, opened(url) as other:
        await cache.save_project(make_project(), CHANGE)
        proxy.plan = Seeded(seed, 0.25, faults)

        async def write(writer: int) -> list[int]:
            given = []
            for n in range(8):
                file = make_file(f"{writer}.{n}")
                change = make_change(project=ALPHA, filename=file.filename)
                given.append(await cache.save(file, change))
            return given

        given = sorted(chain.from_iterable(await asyncio.gather(*map(write, range(4)))))
        assert given == list(range(2, 34))
        await assert_whole(other)


async def test_a_large_repair_is_seen_whole(url: str) -> None:
    """A reader sees the project as it was, or with all that was repaired, never in between."""
    before = [make_file(f"1.{n}") for n in range(60)]
    after = [make_file(f"1.{n}", sequence=2) for n in range(400)]
    async with opened(url) as cache, opened(url) as reader:
        await cache.restore([make_project(ALPHA, *before)], CHANGE)
        repairing = asyncio.create_task(cache.restore([make_project(ALPHA, *after)], CHANGE))
        seen = set()
        while not repairing.done():
            found = await reader.project(ALPHA)
            assert found is not None
            seen.add((len(found.files), *{file.sequence for file in found.files}))
        assert await repairing == 1
        assert seen <= {(60, 1), (400, 2)}
        found = await reader.project(ALPHA)
        assert found is not None
        assert sorted(found.files, key=str) == sorted(after, key=str)


async def test_half_a_project_is_never_shown(url: str) -> None:
    """Where an item is missing that the project counts, the cache is unavailable."""
    async with opened(url) as cache:
        files = [make_file("1.0"), make_file("2.0")]
        await cache.restore([make_project(ALPHA, *files)], CHANGE)
        lost = next(one for one in await items(url) if "/alpha-1.0" in one["sk"]["S"])
        key = {name: lost[name] for name in ("pk", "sk")}
        await dynamodb.ask("DeleteItem", TableName=table_of(url), Key=key)
        with hurried(cache), pytest.raises(errors.CacheUnavailable):
            await cache.project(ALPHA)


async def test_an_item_that_cannot_be_read_is_unavailable(url: str) -> None:
    """What somebody else wrote into the table is no answer, and no error of ours either."""
    async with opened(url) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        found = next(one for one in await items(url) if one["sk"]["S"] == ALPHA)
        broken = {**found, "body": {"B": "e30="}}
        await dynamodb.ask("PutItem", TableName=table_of(url), Item=broken)
        for call in (cache.project(ALPHA), cache.projects(), cache.save(make_file("2.0"), CHANGE)):
            with pytest.raises(errors.CacheUnavailable, match="reindex"):
                await call


async def test_another_versions_writes_are_missed(url: str) -> None:
    """A version that comes back after another one wrote is not built; serials go on."""
    async with opened(url) as cache:
        await cache.restore([make_project(ALPHA, make_file())], CHANGE)
        await cache.set_built()
    async with opened(url) as cache:
        assert await cache.built()
    found = next(one for one in await items(url) if one["pk"]["S"] == "meta")
    meta = msgspec.json.decode(msgspec.json.encode(found["body"]["B"]), type=bytes)
    held = msgspec.json.decode(meta, type=records.Meta)
    layouts = {**held.layouts, "0ther": records.Layout(wrote=7, seen=2**40)}
    held = msgspec.structs.replace(held, serial=7, layouts=layouts)
    body = {"B": json.loads(msgspec.json.encode(msgspec.json.encode(held)))}
    await dynamodb.ask("PutItem", TableName=table_of(url), Item={**found, "body": body})
    async with opened(url) as cache:
        assert not await cache.built()
        assert await cache.project(ALPHA) is not None
        assert await cache.record(CHANGE) == 8
        await cache.set_built()
    async with opened(url) as cache:
        assert await cache.built()


def test_the_service_keeps_its_cache_there(url: str, settings: Settings) -> None:
    """The settings reach it: the service is ready, and its table is there."""
    chosen = settings.model_copy(
        update={"cache": url, "dynamodb": DynamoDBOptions.of(dynamodb.server().options)}
    )
    with serving_ready(create_app(chosen)) as served:
        deadline = time.monotonic() + 20
        while (answer := served.ask("/health/ready")).status != 200:
            assert time.monotonic() < deadline, answer.body
            time.sleep(0.1)
    assert asyncio.run(describe(url))["TableStatus"] == "ACTIVE"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDeniedException", "dynamodb:DescribeTable"),
        ("UnrecognizedClientException", "credentials are not accepted"),
        ("ValidationException", "400 ValidationException"),
    ],
)
async def test_a_start_that_is_refused_is_one_line(
    url: str, proxy: FaultProxy, code: str, said: str
) -> None:
    """It names the table, and says what is missing."""
    proxy.plan = Rule(refusal(code))
    with pytest.raises(errors.Misconfigured, match=said) as caught:
        async with opened(url, proxy.url):
            pass
    assert table_of(url) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_start_without_an_answer_is_one_line(url: str, proxy: FaultProxy) -> None:
    """It names the table and where it was looked for."""
    with proxy.refusing(), pytest.raises(errors.CacheUnavailable) as caught:
        async with opened(url, proxy.url, timeout=3):
            pass
    assert table_of(url) in str(caught.value)
    assert proxy.url in str(caught.value)
    assert "cannot be reached" in str(caught.value)


async def test_an_attempt_cut_short_tells_what_the_one_before_met(
    url: str, proxy: FaultProxy
) -> None:
    """That there was no time for another one is not what was wrong."""
    proxy.plan = lambda request: Fault.SILENT if request.number else Fault.RESET
    with pytest.raises(errors.CacheUnavailable, match="cannot be reached") as caught:
        async with opened(url, proxy.url, timeout=2):
            pass
    assert len(proxy.seen) > 1
    assert "in time" not in str(caught.value)


async def test_a_table_on_its_way_out_is_waited_for(url: str, proxy: FaultProxy) -> None:
    """A table that is being removed is made anew once it is gone."""
    await make_table(url)
    table = {**await describe(url), "TableStatus": "DELETING"}
    body = json.dumps({"Table": table}).encode()
    headers = ("Content-Type: application/x-amz-json-1.0",)
    proxy.plan = Rule(Answer(200, "OK", headers, body), times=2)
    async with opened(url, proxy.url) as cache:
        assert await cache.record(CHANGE) == 1
    assert len([one for one in proxy.seen if one.fault is not None]) == 2


async def test_a_start_without_credentials_is_one_line(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says which settings give them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(errors.Misconfigured, match="PYPICLOUD_DYNAMODB__ACCESS_KEY_ID"):
        async with connect(url, {"endpoint_url": dynamodb.server().endpoint_url}):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        "dynamodb:",
        "dynamodb://eu-central-1",
        "dynamodb://eu-central-1/",
        "dynamodb://europe/pypicloud",
        "dynamodb://key:hunter2@eu-central-1/pypicloud",
        "dynamodb://eu-central-1/pypi/cloud",
        "dynamodb://eu-central-1/pypicloud?x=hunter2",
        "dynamodb://[/pypicloud",
    ],
)
async def test_a_url_that_cannot_work(wrong: str) -> None:
    """It is refused, by what it should be, without quoting what may be a password."""
    with pytest.raises(errors.Misconfigured, match="dynamodb://REGION/TABLE-PREFIX") as caught:
        async with connect(wrong, {}):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"access_key_id": "x"}, "together"),
        ({"session_token": "x"}, "session_token"),
        ({"access_key_id": "x", "secret_access_key": "x", "profile": "x"}, "profile"),
        ({"connections": 0}, "connections"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, object], said: str) -> None:
    """One line says which."""
    with pytest.raises(errors.Misconfigured, match=said):
        DynamoDBOptions.of(options)


async def test_a_ca_file_that_is_not_there_is_named(url: str) -> None:
    """So is the setting that names it."""
    with pytest.raises(errors.Misconfigured, match=r"/nowhere\.pem.*PYPICLOUD_DYNAMODB__CA_FILE"):
        async with opened(url, ca_file="/nowhere.pem"):
            pass
