"""Object stores for benchmarks, as the tests start them."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import quote

from tests.servers import azurite, gcs, running, s3


class Store(Protocol):
    """A server, and the variables by which a service finds it."""

    @property
    def environment(self) -> dict[str, str]: ...


WRITERS = 16

STORES: Mapping[str, tuple[str, Callable[[], Store]]] = {
    "s3": (f"s3://{s3.BUCKET}/benchmark", s3.seaweed),
    "gcs": (f"gs://{gcs.BUCKET}/benchmark", gcs.gcs),
    "azure": (f"azure://{azurite.CONTAINER}/benchmark", azurite.azurite),
}


@contextmanager
def store(name: str) -> Iterator[dict[str, str]]:
    """One of STORES, while the block runs: the variables of a service that keeps all in it."""
    url, server = STORES[name]
    running.begin()
    try:
        yield {**server().environment, "PYPICLOUD_STORAGE": url}
    finally:
        running.end()


@contextmanager
def seaweed() -> Iterator[s3.S3Server]:
    """SeaweedFS, while the block runs."""
    running.begin()
    try:
        yield s3.seaweed()
    finally:
        running.end()


def write_straight(objects: Iterable[tuple[str, bytes]]) -> None:
    """Have SeaweedFS hold these, by key: past its S3, which takes eight times as long."""
    port = running.shared("seaweed", s3.start_seaweed).ports["filer"]
    left, turn = iter(objects), threading.Lock()

    def write() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with turn:
                key, content = next(left, (None, b""))
            if key is None:
                connection.close()
                return
            connection.request("PUT", f"/buckets/{s3.BUCKET}/benchmark/{quote(key)}", body=content)
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 300:
                raise ConnectionError(f"SeaweedFS answered {answer.status}")

    with ThreadPoolExecutor(WRITERS) as pool:
        for writer in [pool.submit(write) for _ in range(WRITERS)]:
            writer.result()


def settings(store: s3.S3Server, **options: str) -> dict[str, str]:
    """Those of a service that keeps everything in it; ``options`` are more of the store's."""
    chosen = {**store.options, **options}
    return {
        "storage": f"s3://{s3.BUCKET}/benchmark",
        **{f"s3__{name}": str(value) for name, value in chosen.items()},
    }
