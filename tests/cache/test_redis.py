"""The cache in Redis: emptied, restarted, frozen, full, shared; one server and a cluster."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from packaging.utils import NormalizedName
from pydantic import SecretStr

from app import errors
from app.cache.base import Cache, Query
from app.cache.options import RedisOptions
from app.cache.redis import connect
from app.cache.redis.options import parse
from app.testing.cache import (
    ALPHA,
    BETA,
    CHANGE,
    everything,
    make_file,
    make_project,
)
from tests.servers import redis
from tests.servers.redis import OwnRedis, ask
from tests.servers.running import free_ports, own, stop


@pytest.fixture(params=["redis", "redis_cluster"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """An empty cache on the shared servers, one and three."""
    place = {"redis": redis.database, "redis_cluster": redis.cluster}[request.param]
    async with place() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    """A server of the test's own."""
    with redis.own_redis(tmp_path) as found:
        yield found


async def filled(cache: Cache) -> list[object]:
    """Put in a project, say that it is built; all that can be asked then."""
    await cache.built()
    await cache.restore([make_project(ALPHA, make_file("1.0"), make_file("2.0"))], CHANGE)
    await cache.set_built()
    return await everything(cache)


async def test_prefixes_keep_caches_apart(url: str) -> None:
    """Two caches on one server do not see each other, and one's end is not the other's."""
    async with connect(url, {}) as one, connect(f"{url}-2", {}) as other:
        before = await filled(one)
        assert await other.project(ALPHA) is None
        assert not await other.built()
        await other.save_project(make_project(BETA), CHANGE)
        assert await one.project(BETA) is None
        await other.clear()
        assert await everything(one) == before


async def test_scripts_that_redis_forgot_are_told_again(server: OwnRedis) -> None:
    """After SCRIPT FLUSH everything goes on."""
    async with connect(server.url, {}) as cache:
        before = await filled(cache)
        server.ask("SCRIPT", "FLUSH")
        assert await everything(cache) == before
        server.ask("SCRIPT", "FLUSH")
        assert await cache.save(make_file("3.0"), CHANGE) == await cache.serial()


async def test_a_project_is_one_round_trip(server: OwnRedis) -> None:
    """However many its files, a project is asked for once, and none of its keys for another's."""
    async with connect(server.url, {}) as cache:
        files = [make_file(f"1.{n}") for n in range(200)]
        await cache.restore([make_project(ALPHA, *files)], CHANGE)
        reads = int(server.ask("INFO", "stats")["total_reads_processed"])
        for _ in range(100):
            assert await cache.project(ALPHA) is not None
        assert int(server.ask("INFO", "stats")["total_reads_processed"]) - reads < 110


async def test_nothing_is_left_of_a_former_era(server: OwnRedis) -> None:
    """After clear only the root is left: no key of what was forgotten, and no KEYS was asked."""
    async with connect(server.url, {}) as cache:
        many = [make_project(f"p{n}", make_file("1", NormalizedName(f"p{n}"))) for n in range(1200)]
        await cache.restore(many, CHANGE)
        await cache.clear()
        assert server.ask("KEYS", "*") == ["{pypicloud}"]
        assert server.ask("INFO", "commandstats")["cmdstat_keys"]["calls"] == 1


async def test_an_older_state_is_not_believed(server: OwnRedis) -> None:
    """A Redis that comes back with what it had before is not complete, and repeats no serial."""
    server.options = ("--dbfilename", "dump.rdb")
    async with connect(server.url, {}) as cache:
        await filled(cache)
        server.ask("SAVE")
        serial = await cache.save(make_file("3.0"), CHANGE)
        assert await cache.built()
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.resume)
        assert not await cache.built()
        assert await cache.serial() > serial
        found = await cache.project(ALPHA)
        assert found is not None
        assert {f.version for f in found.files} == {"1.0", "2.0"}
        assert await cache.restore([make_project(ALPHA, make_file("3.0"))], CHANGE) == 1
        await cache.set_built()
        assert await cache.built()


async def test_a_build_that_lost_something_is_not_complete(server: OwnRedis) -> None:
    """What was emptied amid a build does not count as built in the end."""
    async with connect(server.url, {}) as cache, connect(server.url, {}) as other:
        assert not await cache.built()
        server.ask("FLUSHALL")
        assert not await asyncio.create_task(other.built())
        await cache.restore([make_project()], CHANGE)
        with pytest.raises(errors.CacheUnavailable):
            await cache.set_built()
        assert not await cache.built()
        await cache.set_built()
        assert await other.built()


@pytest.mark.parametrize("key", ["shown", "texts", "lines", "changes", "p/alpha"])
async def test_a_lost_key_is_noticed(server: OwnRedis, key: str) -> None:
    """A single key that Redis dropped makes nothing absent: the cache is not complete then."""
    async with connect(server.url, {}) as cache:
        await filled(cache)
        (lost,) = [found for found in server.ask("KEYS", "*") if found.endswith(f":{key}")]
        server.ask("DEL", lost)
        questions: dict[str, Callable[[], Awaitable[object]]] = {
            "shown": lambda: cache.project(BETA),
            "texts": cache.projects,
            "lines": lambda: cache.search(Query(names=("a",))),
            "changes": lambda: cache.changes(0),
            "p/alpha": lambda: cache.file(ALPHA, make_file().filename),
        }
        with pytest.raises(errors.CacheUnavailable):
            await questions[key]()
        assert not await cache.built()
        await cache.restore([make_project(ALPHA, make_file("1.0"), make_file("2.0"))], CHANGE)
        await cache.set_built()
        assert [line.version for line in await cache.projects()] == ["2.0"]
        assert await cache.project(BETA) is None


async def test_a_frozen_redis_is_given_up(server: OwnRedis) -> None:
    """Silence is bounded, on open connections and on new ones; then all goes on."""
    async with connect(server.url, {}) as cache:
        before = await filled(cache)
        server.signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            asked = [cache.project(ALPHA) for _ in range(50)]
            answers = await asyncio.gather(
                *asked, cache.record(CHANGE), cache.serial(), return_exceptions=True
            )
            assert time.monotonic() - begun < 4
            assert {type(answer) for answer in answers} == {errors.CacheUnavailable}
        finally:
            server.signal(signal.SIGCONT)
        async with asyncio.timeout(5):
            while await cache.project(ALPHA) is None:
                await asyncio.sleep(0.01)
        assert (await everything(cache))[:4] == before[:4]


async def test_a_restarted_server_is_found_again(server: OwnRedis) -> None:
    """Every kept connection may be dead: the next question is answered all the same."""
    async with connect(server.url, {}) as cache:
        await asyncio.gather(*(cache.serial() for _ in range(20)))
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.resume)
        answers = await asyncio.gather(*(cache.built() for _ in range(20)))
        assert set(answers) == {False}


async def test_a_full_redis_takes_nothing_half(server: OwnRedis) -> None:
    """Where memory is short a write is refused whole, and reading goes on."""
    async with connect(server.url, {}) as cache:
        before = await filled(cache)
        server.ask("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(errors.CacheUnavailable, match="does not answer"):
            await cache.save(make_file("3.0"), CHANGE)
        assert await everything(cache) == before
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await cache.save(make_file("3.0"), CHANGE)


async def test_a_redis_that_drops_keys_is_refused(server: OwnRedis) -> None:
    """An eviction policy that spares no key is refused at the start, in one line."""
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with connect(server.url, {}) as cache:  # without a limit none is dropped
        assert not await cache.built()
    server.ask("CONFIG", "SET", "maxmemory", "100mb")
    with pytest.raises(errors.Misconfigured, match=r"allkeys-lru.*noeviction") as refused:
        await connect(server.url, {}).__aenter__()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://:wrong-secret@{host}/0", "refuses this user or password"),
        ("redis://{host}/0", "refuses this user or password"),
        ("redis+cluster://:secret@{host}", "no cluster"),
        ("redis://:secret@{host}/99", "cannot be used"),
        ("redis://:secret@{host}/x", "not like"),
        ("redis://:secret@/0", "not like"),
        ("redis://:secret@{host},{host}/0", "several hosts"),
        ("redis+cluster://:secret@{host}/3", "no databases"),
        ("redis://:secret@{host}/0?prefix=a{b}", "prefix"),
        ("redis://:secret@{host}/0?timeout=soon", "timeout"),
        ("redis://:secret@{host}/0?tiemout=1", "tiemout"),
        ("redis://{host}/0?password=secret", "PYPICLOUD_REDIS__PASSWORD"),
        ("redis+sentinel://:secret@{host}/x", "not like"),
        ("redis+unix:", "not like redis.unix:///run"),
        ("redis+unix://:secret@{host}/run/redis.sock", "not like redis.unix:///run"),
        ("redis+unix:///run/redis.sock?database=secret", "not like redis.unix:///run"),
        ("rediss+unix:///run/redis.sock", "not like"),
    ],
)
async def test_a_wrong_url_is_explained(server: OwnRedis, url: str, why: str) -> None:
    """One line says what is wrong with it, without the password."""
    server.ask("CONFIG", "SET", "requirepass", "secret")
    with pytest.raises(errors.Misconfigured, match=why) as refused:
        await connect(url.replace("{host}", f"127.0.0.1:{server.port}"), {}).__aenter__()
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_the_password_is_used(server: OwnRedis) -> None:
    """User and password of the URL are those that Redis is given."""
    server.ask("ACL", "SETUSER", "ada", "on", ">p@ss/w:rd", "~*", "+@all")
    server.ask("ACL", "SETUSER", "default", "off")
    host = f"127.0.0.1:{server.port}"
    async with connect(f"redis://ada:p%40ss%2Fw%3Ard@{host}", {}) as cache:
        await filled(cache)


async def test_the_password_may_be_a_setting(server: OwnRedis) -> None:
    """User, password and all else may come by options; what the URL says holds instead."""
    server.ask("ACL", "SETUSER", "ada", "on", ">p@ss/w:rd", "~{staging}*", "+@all")
    server.ask("ACL", "SETUSER", "default", "off")
    host = f"127.0.0.1:{server.port}"
    options = {"username": "ada", "password": SecretStr("p@ss/w:rd"), "prefix": "staging"}
    async with connect(f"redis://{host}", options) as cache:
        await filled(cache)
    with pytest.raises(errors.Misconfigured, match="refuses this user or password") as refused:
        await connect(f"redis://ada:wrong@{host}", options).__aenter__()
    assert "p@ss" not in str(refused.value) + repr(RedisOptions.of(options))
    with pytest.raises(errors.Misconfigured, match="refuses this user"):
        await connect(f"redis://{host}?prefix=others", options).__aenter__()


async def test_a_socket_of_the_file_system(tmp_path: Path) -> None:
    """A server that listens on no port is found by the path of its socket."""
    socket = tmp_path / "redis server.sock"
    running = redis.start_redis(tmp_path, "--unixsocket", str(socket))
    try:
        ask(running.ports["redis"], "CONFIG", "SET", "port", 0)
        url = f"redis+unix://{quote(str(socket))}"
        async with connect(f"{url}?database=3&prefix=a", {}) as cache:
            before = await filled(cache)
        async with connect(f"{url}?database=3&prefix=a", {}) as cache:
            assert await everything(cache) == before
        async with connect(f"{url}?prefix=a", {}) as cache:
            assert await cache.project(ALPHA) is None
    finally:
        stop(running)
    with pytest.raises(errors.CacheUnavailable, match=r"redis server\.sock"):
        await connect(url, {}).__aenter__()


async def test_sentinels_name_the_server(tmp_path: Path) -> None:
    """When the server is lost its replica is found: serials grow, and the cache is built again."""
    folders = [tmp_path / name for name in ("one", "two", "sentinel")]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        one = redis.start_redis(folders[0])
        stack.callback(stop, one)
        two = redis.start_redis(folders[1], "--replicaof", f"127.0.0.1 {one.ports['redis']}")
        stack.callback(stop, two)
        sentinel = redis.start_sentinel(folders[2], one.ports["redis"], "packages")
        stack.callback(stop, sentinel)
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.ports['redis']}/0"
        with pytest.raises(errors.CacheUnavailable, match="does not answer"):
            await connect(f"{url}?timeout=1", {}).__aenter__()  # no such service
        async with connect(url, {"service": "packages", "timeout": 1}) as cache:
            await filled(cache)
            serial = await cache.serial()
            await noticed(sentinel.ports["redis"])
            stop(one)
            async with asyncio.timeout(60):
                while True:
                    try:
                        assert not await cache.built()
                        break
                    except errors.CacheUnavailable:
                        await asyncio.sleep(0.2)
            assert await cache.record(CHANGE) > serial
            assert await cache.project(ALPHA) is not None


async def noticed(sentinel: int) -> None:
    """Wait until the Sentinel knows the replica, and that it is whole."""
    async with asyncio.timeout(60):
        while True:
            replicas = await asyncio.to_thread(ask, sentinel, "SENTINEL", "REPLICAS", "packages")
            if any(one["master-link-status"] == "ok" for one in replicas):
                return
            await asyncio.sleep(0.2)


async def test_a_user_with_few_rights_suffices(server: OwnRedis) -> None:
    """Only the keys of the prefix are touched; without INFO all works but the looking out."""
    rights = ("~{pypicloud}*", "+@all", "-@dangerous", "-@admin")
    server.ask("ACL", "SETUSER", "ada", "on", ">secret", *rights)
    async with connect(f"redis://ada:secret@127.0.0.1:{server.port}", {}) as cache:
        await filled(cache)
        assert await cache.built()
        await cache.clear()
        assert not await cache.built()


async def test_what_another_version_wrote_is_not_missed(server: OwnRedis) -> None:
    """Where another version wrote since, this one is not complete; its serials go on for both."""
    async with connect(server.url, {}) as cache:
        await filled(cache)
    serial = int(server.ask("HINCRBY", "{pypicloud}", "serial", 5))
    server.ask("HSET", "{pypicloud}", "00000000.era", "e", "00000000.written", serial)
    async with connect(server.url, {}) as cache:
        assert not await cache.built()
        await cache.set_built()
    async with connect(server.url, {}) as cache:
        assert await cache.built()
        assert await cache.record(CHANGE) == serial + 1


async def test_what_no_version_uses_is_removed(server: OwnRedis) -> None:
    """The keys of a version that no process used for a week go, once this one is complete."""
    async with connect(server.url, {}) as cache:
        before = await filled(cache)
    server.ask("HSET", "{pypicloud}", "00000000.era", "e", "00000000.seen", "1000")
    server.ask("ZADD", "{pypicloud}:00000000:e:shown", 1, "old")
    server.ask("HSET", "{pypicloud}:00000000:e:p/old", "serial", 1)
    async with connect(server.url, {}) as cache:
        async with asyncio.timeout(10):
            while any("00000000" in key or "dead" in key for key in server.ask("KEYS", "*")):
                await asyncio.sleep(0.01)
        assert await everything(cache) == before
        assert not server.ask("HEXISTS", "{pypicloud}", "00000000.era")


async def test_a_server_of_a_cluster_says_so() -> None:
    """A cluster needs its own scheme, and the error names it."""
    async with redis.cluster() as found:
        place, query = parse(found)
        said = []
        for host, port in place.nodes:
            opening = connect(f"redis://{host}:{port}?prefix={query['prefix']}", {})
            try:
                async with opening:
                    said.append("the one that has the slot")
            except errors.Misconfigured as refused:
                said.append(str(refused))
    assert sum("redis+cluster://" in one for one in said) == redis.NODES - 1


async def test_a_server_that_is_down_is_unavailable(server: OwnRedis) -> None:
    """Nobody listening is no mistake of the URL's."""
    await asyncio.to_thread(server.stop)
    for scheme in ("redis", "redis+cluster"):
        with pytest.raises(errors.CacheUnavailable, match=f"127.0.0.1:{server.port}"):
            await connect(f"{scheme}://127.0.0.1:{server.port}?timeout=0.5", {}).__aenter__()


async def test_a_slot_that_moves_is_followed(tmp_path: Path) -> None:
    """The keys go to another server of the cluster, and the cache with them."""
    with own(redis.start_cluster, tmp_path) as running:
        ports = [running.ports[f"redis{number}"] for number in range(redis.NODES)]
        async with connect(f"redis+cluster://127.0.0.1:{ports[0]}", {}) as cache:
            before = await filled(cache)
            await asyncio.to_thread(move_slot, ports)
            assert await everything(cache) != []
            assert await cache.project(ALPHA) is not None
            assert (await everything(cache))[:4] == before[:4]
            assert await cache.save(make_file("3.0"), CHANGE) == await cache.serial()


def move_slot(ports: list[int]) -> None:
    """Move the slot of the cache to the next server."""
    slot = ask(ports[0], "CLUSTER", "KEYSLOT", "{pypicloud}")
    ids = [ask(port, "CLUSTER", "MYID") for port in ports]
    (source,) = [port for port in ports if ask(port, "CLUSTER", "COUNTKEYSINSLOT", slot)]
    target = ports[(ports.index(source) + 1) % len(ports)]
    giver, taker = ids[ports.index(source)], ids[ports.index(target)]
    ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", giver)
    ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", taker)
    for key in ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1000):
        ask(source, "MIGRATE", "127.0.0.1", target, key, 0, 5000)
    for port in ports:
        ask(port, "CLUSTER", "SETSLOT", slot, "NODE", taker)


async def test_tls(tmp_path: Path) -> None:
    """Over TLS a server is believed whose certificate ``ca_file`` has signed, and no other."""
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    options = ("--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients")
    running = redis.start_redis(tmp_path, *options, "no")
    try:
        (port,) = free_ports(1)
        ask(running.ports["redis"], "CONFIG", "SET", "tls-port", port)
        host = f"127.0.0.1:{port}"
        async with connect(f"rediss://{host}?ca_file={tmp_path}/ca.pem", {}) as cache:
            await filled(cache)
        with pytest.raises(errors.CacheUnavailable):
            await connect(f"rediss://{host}", {}).__aenter__()
    finally:
        stop(running)
