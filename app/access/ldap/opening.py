"""``ldap://HOST`` and ``ldaps://HOST``: whatever is wrong is one line at the start."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from ldap.dn import is_dn

from app import errors
from app.access.ldap.access import LdapAccess
from app.access.ldap.line import Place
from app.access.options import PLACE, TOGETHER, LdapOptions
from app.access.trust import is_loopback, trusting

_PORTS = {"ldap": 389, "ldaps": 636}
_HOST = re.compile(r"[A-Za-z0-9.:_-]+\Z")


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[LdapAccess]:
    """The users of this directory; options are those of LdapOptions.

    What a chain adds is passed over: nothing is edited and no password is hashed here.

    Raises errors.Misconfigured where it cannot work, errors.AccessUnavailable where it does
    not answer.
    """
    chosen = LdapOptions.of({key: options[key] for key in options if key not in TOGETHER})
    try:
        chosen = chosen.found_by()
    except ValueError as wrong:
        raise errors.Misconfigured(f"PYPICLOUD_LDAP__…: {wrong}") from None
    for name in ("bind_dn", "base_dn", "user_dn", "group_base_dn"):
        if not is_dn(getattr(chosen, name).replace(PLACE, "x")):
            raise errors.Misconfigured(f"PYPICLOUD_LDAP__{name.upper()} is no DN")
    place = await asyncio.to_thread(_place, url, chosen)
    threads = ThreadPoolExecutor(chosen.connections, thread_name_prefix="ldap")
    try:
        access = LdapAccess(place, chosen, threads)
        await access.check()
        yield access
    finally:
        # What is under way ends with its connection; nobody waits for it.
        threads.shutdown(wait=False, cancel_futures=True)


def _place(url: str, options: LdapOptions) -> Place:
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        scheme, host, port, parts = "", "", None, urlsplit("")
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if scheme not in _PORTS or not _HOST.match(host) or extra:
        raise errors.Misconfigured(
            "Write the directory as ldaps://HOST or ldap://HOST, with a port or without; "
            "the rest is told by PYPICLOUD_LDAP__…"
        )
    if scheme == "ldaps" and options.start_tls:
        raise errors.Misconfigured("PYPICLOUD_LDAP__START_TLS belongs to ldap://, not to ldaps://")
    encrypted = scheme == "ldaps" or options.start_tls
    if not encrypted and not options.plain and not is_loopback(host):
        raise errors.Misconfigured(
            "ldap:// would send passwords in the clear: use ldaps://, or PYPICLOUD_LDAP__START_TLS"
        )
    return Place(
        host=host,
        port=port or _PORTS[scheme],
        tls=trusting(options.ca_file, "PYPICLOUD_LDAP__CA_FILE") if encrypted else None,
        start_tls=options.start_tls,
    )
