"""Who we are to Google: gcloud-aio-auth's token, kept from its rough edges."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from gcloud.aio import auth
from gcloud.aio.auth.token import Type

from app import errors
from app.storage.gcs.failures import Failed, translated

SCOPES = [
    "https://www.googleapis.com/auth/devstorage.full_control",
    "https://www.googleapis.com/auth/iam",
]
"""Objects with their ACLs, and signatures by IAM."""

WELL_KNOWN = "the application default credentials of gcloud"
GOOGLE = "Google"

logger = logging.getLogger(__name__)


class Token(auth.Token):
    """An access token, renewed in time. ``key`` signs for ``email`` where the credentials hold it.

    Unlike its parent it leaves retries to us, says Failed when it cannot be renewed, and does
    not let one cancelled caller cancel the renewal that others wait for.
    """

    key: RSAPrivateKey | None = None

    @property
    def email(self) -> str | None:
        """The service account that the credentials name themselves."""
        named = self.service_data.get("client_email")
        if named is None and self.impersonation_uri:
            named = self.impersonation_uri.rpartition("/serviceAccounts/")[2].partition(":")[0]
        return named or None

    def forget(self) -> None:
        """Have a new one for the next request: this one was refused."""
        self.access_token = None

    async def settle(self) -> None:
        """Give up a renewal that is under way: nobody needs it any more."""
        if self.acquiring is not None:
            self.acquiring.cancel()
            await asyncio.gather(self.acquiring, return_exceptions=True)

    async def ensure_token(self) -> None:
        await asyncio.shield(asyncio.ensure_future(super().ensure_token()))

    async def acquire_access_token(  # type: ignore[override]  # without its decorator
        self, timeout: int = 10
    ) -> None:
        try:
            with translated(GOOGLE):
                await inspect.unwrap(auth.Token.acquire_access_token)(self, timeout)
        except Failed as failed:
            # Of renewals that come early nobody waits for the outcome.
            if self.access_token and time.time() < self.access_token_refresh_after:
                logger.warning("The credentials for Google were not renewed: %s", failed)
                return
            text = f"The credentials gave no token: {failed}"
            raise Failed(text, status=failed.status) from None
        except (LookupError, TypeError, ValueError, OSError) as error:
            why = f"{type(error).__name__}: {error}"[:100]
            raise Failed(f"The credentials gave no token: {why}", status=400) from None

    async def _get_subject_token(self, credential_source: dict[str, Any], timeout: int) -> str:
        # The parent reads the file in the event loop, and knows no format of it but text.
        file = credential_source.get("file")
        if file is None:
            return await super()._get_subject_token(credential_source, timeout)
        content = await asyncio.to_thread(Path(file).read_text, "utf-8")
        style = credential_source.get("format", {})
        if style.get("type") == "json":
            content = json.loads(content)[style["subject_token_field_name"]]
        return content.strip()


def load(file: Path | None, session: aiohttp.ClientSession) -> Token:
    """The token of a file, or of the application default credentials. Reads files.

    Raises errors.Misconfigured where a file that somebody named cannot be used.
    """
    named = file or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(named) if named else None
    if path:
        _require_credentials(path)
    try:
        token = Token(
            service_file=str(path) if path else None,
            session=session,  # type: ignore[arg-type]  # the hint is that of its twin
            scopes=SCOPES,
        )
        if token.token_type is Type.SERVICE_ACCOUNT:
            # Loaded once: whoever is given PEM parses it for each signature.
            token.key = _key(token.service_data["private_key"])
            token.service_data["private_key"] = token.key
    except (LookupError, TypeError, ValueError) as error:
        raise errors.Misconfigured(
            f"{path or WELL_KNOWN}: credentials that cannot be used ({error})"
        ) from None
    if token.token_type is Type.GCE_METADATA:
        token.token_uri = metadata_url("token")
    return token


def metadata_url(what: str) -> str:
    """Where the metadata server tells of the default service account."""
    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    return f"http://{host}/computeMetadata/v1/instance/service-accounts/default/{what}"


def _require_credentials(path: Path) -> None:
    # The SDK takes a file that it cannot parse for none, and asks the metadata server.
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        kind = content["type"]
    except OSError as error:
        raise errors.Misconfigured(
            f"The credentials file {path} cannot be read: {error.strerror}"
        ) from None
    except (ValueError, LookupError, TypeError):
        raise errors.Misconfigured(
            f"{path} is no credentials file of Google Cloud (JSON with a 'type')"
        ) from None
    if kind not in {known.value for known in Type}:
        raise errors.Misconfigured(f"{path} holds credentials of an unknown type: {kind!r:.50}")
    required = {"client_email", "private_key"} if kind == Type.SERVICE_ACCOUNT.value else set()
    if missing := sorted(required - content.keys()):
        raise errors.Misconfigured(f"{path} is no complete key file: {', '.join(missing)} missing")


def _key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("its private key cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("its private key is no RSA key")
    return key
