"""Whom to trust on the way to another server."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path

from app import errors


def trusting(ca_file: Path | None, setting: str) -> ssl.SSLContext:
    """Verifies certificates, by the system's authorities or those in a file. Reads files.

    ``setting`` is the name of the one that names the file. Raises errors.Misconfigured.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise errors.Misconfigured(
            f"{setting}: {ca_file} cannot be read ({type(error).__name__})"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
