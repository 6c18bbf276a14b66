"""An object store for a benchmark: SeaweedFS, as the tests start it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers import running, s3


@contextmanager
def seaweed() -> Iterator[s3.S3Server]:
    """The store, while the block runs."""
    running.begin()
    try:
        yield s3.seaweed()
    finally:
        running.end()


def settings(store: s3.S3Server, **options: str) -> dict[str, str]:
    """Those of a service that keeps everything in it; ``options`` are more of the store's."""
    chosen = {**store.options, **options}
    return {
        "storage": f"s3://{s3.BUCKET}/benchmark",
        **{f"s3__{name}": str(value) for name, value in chosen.items()},
    }
