"""Opening a container: whatever is wrong with it, or with who we are, is one line at the start."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from app import errors
from app.storage import place as places
from app.storage.azure.account import Account, account_of
from app.storage.azure.container import Container
from app.storage.azure.failures import WHO, Failed
from app.storage.azure.identity import SCOPE, Identity, default_identity
from app.storage.azure.requests import Requests
from app.storage.azure.signing import DelegationSigner, KeySigner, Signer
from app.storage.options.azure import AzureOptions
from app.storage.probe import is_for_reading, require_create_only

ROLE = "Storage Blob Data Contributor"
READER = "Storage Blob Data Reader"
DELEGATOR = "Storage Blob Delegator"

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[Container]:
    """The storage in ``azure://CONTAINER/PREFIX``; options are those of AzureOptions.

    Raises errors.Misconfigured where it cannot work, errors.StorageUnavailable where it does
    not answer.
    """
    place = places.parse(url)
    rest, only_read = is_for_reading(options)
    chosen = AzureOptions.of(rest)
    account = account_of(chosen)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(await _session(chosen))
        identity = None
        if account.key is None and account.sas is None:
            identity = await stack.enter_async_context(default_identity())
            await _require_token(identity)
        requests = Requests(account, place.bucket, chosen, session, identity)
        try:
            await requests.page(place.prefix, size=1)
            container = Container(
                requests,
                account,
                place,
                await _signer(account, requests, only_read=only_read),
                public_url=chosen.public_url,
                ordered=not await _has_folders(requests),
            )
            if not only_read:
                await require_create_only(container, WHO)
        except Failed as failed:
            raise _explained(failed, account, place.bucket, only_read=only_read) from None
        yield container


async def _session(options: AzureOptions) -> aiohttp.ClientSession:
    # The SDK would read the authorities anew for each request.
    context: ssl.SSLContext | bool = True
    if options.ca_file is not None:
        context = await asyncio.to_thread(_authorities, options.ca_file)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=options.connections, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


def _authorities(file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(file))
    except (OSError, ssl.SSLError):
        raise errors.Misconfigured(
            f"PYPICLOUD_AZURE__CA_FILE: {file} cannot be read as certificates"
        ) from None


async def _require_token(identity: Identity) -> None:
    try:
        await identity.get_token(SCOPE)
    except Failed as failed:
        raise errors.Misconfigured(
            "No credentials for Azure: give this service an identity, or set "
            f"PYPICLOUD_AZURE__ACCOUNT_KEY or PYPICLOUD_AZURE__CONNECTION_STRING ({failed})"
        ) from None


async def _signer(account: Account, requests: Requests, *, only_read: bool) -> Signer | None:
    """Who signs URLs: the account's key, else a key that our identity is given; None if nobody.

    The account's key signs our own requests as well. ``only_read``: nobody asks for URLs.
    """
    container = requests.container.container_name
    if account.key is not None:
        return KeySigner(account, container)
    if only_read:
        return None
    if account.sas is not None:
        logger.warning(
            "Nobody signs URLs: a SAS token cannot, so the bytes of all files go through this"
            " service; an account key or a managed identity can"
        )
        return None
    signer = DelegationSigner(account, container, requests.delegation_key)
    try:
        await signer.key(datetime.now(UTC))
    except Failed as failed:
        if failed.status != 403:
            raise
        logger.warning(
            "No URLs can be signed, so the bytes of all files go through this service; "
            "the role %r on the account lets them: %s",
            DELEGATOR,
            failed,
        )
        return None
    return signer


async def _has_folders(requests: Requests) -> bool:
    """Whether the account has a hierarchical namespace, whose lists have another order."""
    try:
        found = await requests.tried(requests.service.get_account_information)
    except Failed as failed:
        if failed.transient:
            raise
        return False  # not everybody may ask
    return bool(found.get("is_hns_enabled"))


def _explained(failed: Failed, account: Account, container: str, *, only_read: bool) -> Exception:
    if failed.code in ("ContainerNotFound", "ContainerBeingDeleted"):
        return errors.Misconfigured(
            f"There is no container {container!r} in {account.name}; make it, or name another:"
            f" {failed}"
        )
    if failed.status == 401 or "failed to authenticate" in str(failed):
        return errors.Misconfigured(
            f"{WHO} does not believe who we are (a wrong or rotated key, another account, "
            f"or a wrong clock): {failed}"
        )
    if failed.status == 403:
        acts, role = "read, write, list and delete", ROLE
        if only_read:
            acts, role = "read and list", READER
        return errors.Misconfigured(
            f"The credentials may not {acts} in the container {container!r} "
            f"(the role {role!r} lets them; so does the firewall of the account): {failed}"
        )
    return failed if failed.transient else errors.Misconfigured(str(failed))
