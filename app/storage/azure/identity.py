"""Tokens of Entra ID: of a managed or workload identity, a service principal or a developer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError

from app.storage.azure.failures import Failed, one_line

SCOPE = "https://storage.azure.com/.default"
EARLY = 300.0
"""Seconds before its end that a token is replaced."""
PATIENCE = 60.0
"""Seconds that a token may take, from all of the ways to get one that azure-identity tries."""


class Identity(AsyncTokenCredential):
    """The token of a credential, asked for once and again before it ends.

    Where no new one can be had, the old one is used until its end.
    """

    def __init__(self, credential: AsyncTokenCredential) -> None:
        self._credential = credential
        self._token: AccessToken | None = None
        self._asking = asyncio.Lock()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        async with self._asking:
            token = self._token
            # Claims come with a challenge: the old token was refused.
            if token is None or options.get("claims") or token.expires_on - time.time() < EARLY:
                try:
                    token = self._token = await self._ask(*scopes, **options)
                except Failed:
                    if token is None or token.expires_on <= time.time() or options.get("claims"):
                        raise
            return token

    async def authorization(self) -> dict[str, str]:
        """The header that says who we are."""
        token = await self.get_token(SCOPE)
        return {"Authorization": f"Bearer {token.token}"}

    async def close(self) -> None:
        """Nothing: whoever made the credential closes it."""

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()

    async def _ask(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._credential.get_token(*scopes, **options)
        except TimeoutError:
            raise Failed("Entra ID gives no token in time", status=401) from None
        except AzureError as error:
            raise Failed(
                f"Entra ID gives no token: {one_line(error.message)}", status=401
            ) from None


@asynccontextmanager
async def default_identity() -> AsyncIterator[Identity]:
    """What azure-identity's default chain finds: the environment and the machine tell."""
    credential = await asyncio.to_thread(_default_credential)
    async with credential:
        yield Identity(credential)


def _default_credential() -> AsyncTokenCredential:
    # Imported where it is needed: it takes a third of a second, and keys do without it.
    from azure.identity.aio import DefaultAzureCredential

    credential: AsyncTokenCredential = DefaultAzureCredential()
    return credential
