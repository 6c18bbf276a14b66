"""Presigned GETs of S3, AWS Signature Version 4 in the query string, in microseconds.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, urlsplit

LONGEST = timedelta(days=7)
"""Presigned URLs live no longer."""

_PORTS = {"http": 80, "https": 443}


class Credentials(NamedTuple):
    """Who signs; ``token`` belongs to temporary keys."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"


class Presigner:
    """Signs URLs of one bucket.

    ``endpoint`` is ``scheme://host[:port][/path]``, with the bucket in its host or its path,
    percent-encoded as it is to be sent.
    """

    def __init__(self, *, endpoint: str, region: str, service: str = "s3") -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"not an endpoint: {endpoint!r}")
        self._endpoint = endpoint.rstrip("/")
        self._path = parts.path.rstrip("/")
        self._host = _host(parts.hostname, parts.port, _PORTS[parts.scheme])
        self._region = region
        self._service = service
        self._day: tuple[Credentials, str, bytes] | None = None

    def url(
        self, key: str, credentials: Credentials, *, signed_at: datetime, expires_in: timedelta
    ) -> str:
        """A URL that GETs ``key`` from ``signed_at`` on for ``expires_in``, one second at least.

        Raises ValueError where that is longer than LONGEST.
        """
        seconds = int(expires_in.total_seconds())
        if not 0 < seconds <= LONGEST.total_seconds():
            raise ValueError(f"no presigned URL lives for {expires_in}")
        at = f"{signed_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{at[:8]}/{self._region}/{self._service}/aws4_request"
        begin = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential={quote(f'{credentials.access_key}/{scope}', safe='')}"
            f"&X-Amz-Date={at}&X-Amz-Expires={seconds}"
        )
        host = "&X-Amz-SignedHeaders=host"
        token = ""
        if credentials.token is not None:
            token = f"&X-Amz-Security-Token={quote(credentials.token, safe='')}"
        path = quote(key, safe="/~")
        # The canonical query is in the order of the names, the URL's own ends in the token.
        request = (
            f"GET\n{self._path}/{path}\n{begin}{token}{host}\n"
            f"host:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        )
        hashed = sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashed}"
        signature = hmac.digest(self._day_key(credentials, at[:8]), text.encode(), "sha256").hex()
        return f"{self._endpoint}/{path}?{begin}{host}{token}&X-Amz-Signature={signature}"

    def _day_key(self, credentials: Credentials, day: str) -> bytes:
        """The key that signs for one day, region and service; the last one is kept."""
        kept = self._day
        if kept is not None and kept[0] == credentials and kept[1] == day:
            return kept[2]
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._day = (credentials, day, key)
        return key


def _host(name: str, port: int | None, default: int) -> str:
    """The Host header that clients send."""
    host = f"[{name}]" if ":" in name else name
    return host if port in (None, default) else f"{host}:{port}"
