"""Presigned URLs by whatever credentials the SDK has at the moment."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from app.storage import sigv4, window
from app.storage.s3.failures import translated
from app.storage.sigv4 import Presigner


class Signer:
    """Signs keys of the bucket with ``credentials`` of the SDK, renewed where they end."""

    def __init__(self, presigner: Presigner, credentials: Any, patience: float) -> None:
        self._presigner = presigner
        self._credentials = credentials
        self._patience = patience

    async def __call__(self, key: str, now: datetime, expires_in: timedelta) -> str | None:
        """A URL of the half life that is open; it ends with the credentials, if they do."""
        with translated():
            async with asyncio.timeout(self._patience):
                frozen = await self._credentials.get_frozen_credentials()
        lives = min(expires_in, sigv4.LONGEST)
        signed_at = window.opened(now, lives)
        # No public name tells when temporary credentials end.
        ends: datetime | None = getattr(self._credentials, "_expiry_time", None)
        if ends is not None:
            lives = max(timedelta(seconds=1), min(lives, ends - signed_at))
        return self._presigner.url(
            key,
            sigv4.Credentials(frozen.access_key, frozen.secret_key, frozen.token),
            signed_at=signed_at,
            expires_in=lives,
        )
