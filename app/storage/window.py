"""When a presigned URL begins to count, so that it is the same for half of its life.

A URL signed at the beginning of the current half life is equal in every process with the same
credentials; clients' caches and ours can keep it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def opened(now: datetime, expires_in: timedelta) -> datetime:
    """The latest whole multiple of half of ``expires_in``, counted from 1970, up to ``now``.

    A URL that counts from there for ``expires_in``, two seconds at least and any fraction of
    one left out, works for at least half of it from now on.
    """
    half = seconds(expires_in)
    return datetime.fromtimestamp(now.timestamp() // half * half, UTC)


def closes(now: datetime, expires_in: timedelta) -> datetime:
    """When the next one opens."""
    return opened(now, expires_in) + timedelta(seconds=seconds(expires_in))


def seconds(expires_in: timedelta) -> int:
    """Half of a life, in whole seconds, one at least."""
    return max(1, int(expires_in.total_seconds()) // 2)
