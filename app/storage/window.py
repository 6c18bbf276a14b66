"""When a presigned URL begins to count, so that it is the same for half of its life; and ends.

A URL signed at the beginning of the current half life is equal in every process with the same
credentials; clients' caches and ours can keep it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit


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


def ends(url: str) -> datetime | None:
    """When a presigned URL stops working, by its own query; None where that does not tell.

    S3 and Google say when it begins and how long it lives, Azure and CloudFront when it ends.
    """
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    try:
        for vendor in ("Amz", "Goog"):
            if (begins := asked.get(f"X-{vendor}-Date")) is not None:
                begun = datetime.strptime(begins, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return begun + timedelta(seconds=int(asked[f"X-{vendor}-Expires"]))
        if "se" in asked:
            return datetime.fromisoformat(asked["se"]).astimezone(UTC)
        return datetime.fromtimestamp(int(asked["Expires"]), UTC)
    except (LookupError, ValueError, OverflowError, OSError):
        return None
