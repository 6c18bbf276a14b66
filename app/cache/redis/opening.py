"""Opening a Redis, and what is said where it cannot be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
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
from app.cache.redis.cache import RedisCache
from app.cache.redis.era import Era
from app.cache.redis.options import Place, RedisOptions, parse
from app.cache.redis.server import Client, Server, kind

_REFUSED = (AuthenticationError, AuthorizationError, NoPermissionError)

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[RedisCache]:
    """Open the cache; ``options``, and the query of the URL, are those of RedisOptions.

    Raises errors.Misconfigured where Redis cannot be used, saying why and what to do,
    errors.CacheUnavailable where it does not answer.
    """
    place, query = parse(url)
    chosen = RedisOptions.of({**options, **query})
    timeout = chosen.timeout.total_seconds()
    client = await asyncio.to_thread(_client, place, chosen)
    cache: RedisCache | None = None
    keeping: asyncio.Task[None] | None = None
    try:
        server = Server(client, timeout=timeout, connections=chosen.connections)
        era = Era(server, chosen.prefix)
        with _reaching(place):
            await _require_memory(client)
            await era.open()
        cache = RedisCache(era)
        keeping = asyncio.create_task(cache.keep())
        yield cache
    finally:
        if keeping is not None and cache is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await cache.settled()
        await client.aclose()


def _client(place: Place, options: RedisOptions) -> Client:
    timeout = options.timeout.total_seconds()
    given: dict[str, Any] = {
        "username": place.username,
        "password": place.password,
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
    if place.cluster:
        nodes = [ClusterNode(host, port) for host, port in place.nodes]
        return RedisCluster(startup_nodes=nodes, max_connections=2**31, **given)
    ((host, port),) = place.nodes
    return Redis(host=host, port=port, db=place.database, **given)


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
