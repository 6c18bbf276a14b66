"""Opening a Redis, and what is said where it cannot be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ExponentialBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ConnectionError,
    MovedError,
    NoPermissionError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from app import errors
from app.cache.options import RedisOptions
from app.cache.redis.cache import RedisCache
from app.cache.redis.era import Era
from app.cache.redis.options import Place, parse
from app.cache.redis.server import Client, Server, kind

_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[RedisCache]:
    """Open the cache; ``options``, and what is behind the URL's '?', are those of RedisOptions.

    Raises errors.Misconfigured where Redis cannot be used, saying why and what to do,
    errors.CacheUnavailable where it does not answer.
    """
    place, query = parse(url)
    chosen = RedisOptions.of({**options, **query})
    timeout = chosen.timeout.total_seconds()
    async with _client(place, chosen) as client:
        server = Server(client, timeout=timeout, connections=chosen.connections)
        era = Era(server, chosen.prefix)
        with _reaching(place):
            await _require_memory(client)
            await era.open()
        cache = RedisCache(era)
        keeping = asyncio.create_task(cache.keep())
        try:
            yield cache
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await cache.settled()


@asynccontextmanager
async def _client(place: Place, options: RedisOptions) -> AsyncIterator[Client]:
    """What asks; closed in the end, with the connections to Sentinels."""
    given = _given(place, options)
    sentinels: list[Redis] = []
    # The client reads certificates, and looks up its own version, in files.
    if place.kind == "sentinel":
        client, sentinels = await asyncio.to_thread(_watched, place, options, given)
    else:
        client = await asyncio.to_thread(_direct, place, given)
    try:
        yield client
    finally:
        await asyncio.gather(*(each.aclose() for each in (client, *sentinels)))


def _watched(
    place: Place, options: RedisOptions, given: dict[str, Any]
) -> tuple[Client, list[Redis]]:
    """What asks the server that Sentinels name, and what asks them."""
    shared = ("protocol", "socket_timeout", "socket_connect_timeout", "retry")
    asking = {name: given[name] for name in given if name in shared or name.startswith("ssl")}
    asking |= {
        "username": options.sentinel_username,
        "password": _revealed(options.sentinel_password),
    }
    sentinel = Sentinel(place.nodes, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    # Else each new connection would look up the version anew.
    given = {**given, "driver_info": DriverInfo()}
    found: Redis = sentinel.master_for(options.service, db=place.database, **given)
    return found, list(sentinel.sentinels)


def _direct(place: Place, given: dict[str, Any]) -> Client:
    if place.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in place.nodes]
        return RedisCluster(startup_nodes=nodes, max_connections=2**31, **given)
    if place.kind == "unix":
        return Redis(unix_socket_path=place.socket, db=place.database, **given)
    ((host, port),) = place.nodes
    return Redis(host=host, port=port, db=place.database, **given)


def _given(place: Place, options: RedisOptions) -> dict[str, Any]:
    timeout = options.timeout.total_seconds()
    given: dict[str, Any] = {
        "username": place.username or options.username,
        "password": place.password or _revealed(options.password),
        "protocol": 3,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A kept connection may be to a server that is no more; whoever is silent stays silent.
        "retry": Retry(ExponentialBackoff(cap=0.1), 1, supported_errors=(ConnectionError,)),
    }
    if place.tls:
        given |= {
            "ssl": True,
            "ssl_ca_certs": options.ca_file and str(options.ca_file),
            "ssl_certfile": options.cert_file and str(options.cert_file),
            "ssl_keyfile": options.key_file and str(options.key_file),
        }
    return given


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


async def _require_memory(client: Client) -> None:
    """Refuse a server that would drop keys of ours to make room."""
    try:
        if isinstance(client, RedisCluster):
            await client.initialize()
            found = await client.info("memory", target_nodes=RedisCluster.PRIMARIES)
            memories = list(found.values()) if "maxmemory" not in found else [found]
        else:
            memories = [await client.info("memory")]
    except NoPermissionError:
        logger.warning("the cache may not ask Redis for INFO: see that it never evicts keys")
        return
    for memory in memories:
        policy = str(memory.get("maxmemory_policy", ""))
        if memory.get("maxmemory") and policy.startswith("allkeys"):
            raise errors.Misconfigured(
                f"This Redis drops any key to make room (maxmemory-policy {policy}); "
                "a cache that loses single keys lies. Set it to noeviction."
            )


@contextmanager
def _reaching(place: Place) -> Iterator[None]:
    """Says which Redis it is that cannot be used, and the cure where a person must help."""
    where = f"The cache in Redis on {place.name}"
    try:
        yield
    except errors.CacheUnavailable as error:
        _explain(where, error.__cause__ or error)
        raise
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        _explain(where, error)
        raise errors.CacheUnavailable(f"{where} does not answer ({kind(error)}).") from error


def _explain(where: str, error: BaseException) -> None:
    """Raise errors.Misconfigured where waiting does not help."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, _REFUSED):
            raise errors.Misconfigured(f"{where} refuses this user or password.") from error
        if isinstance(reason, MovedError):
            raise errors.Misconfigured(f"{where} is a cluster; use redis+cluster://.") from error
        if "luster mode is not enabled" in str(reason):
            raise errors.Misconfigured(f"{where} is no cluster; use redis://.") from error
        if isinstance(reason, ResponseError) and type(reason) is ResponseError:
            raise errors.Misconfigured(f"{where} cannot be used ({reason}).") from error
        reason = reason.__cause__ or reason.__context__
