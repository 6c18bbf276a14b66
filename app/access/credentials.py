"""The Authorization header, pure: Basic (RFC 7617) and Bearer (RFC 6750)."""

from __future__ import annotations

import base64

from app import errors


def parse(header: str) -> tuple[str | None, str]:
    """A user's name and password, or None and a token.

    Raises errors.Unauthenticated for what cannot be read.
    """
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        token = rest.strip(" ")
        if not token or not token.isascii():
            raise errors.Unauthenticated
        return None, token
    if scheme.lower() != "basic":
        raise errors.Unauthenticated
    return _basic(rest.strip(" "))


def _basic(encoded: str) -> tuple[str, str]:
    try:
        pair = base64.b64decode(encoded, validate=True)
    except ValueError:  # no base64, or not even ASCII
        raise errors.Unauthenticated from None
    try:
        decoded = pair.decode("utf-8")
    except UnicodeDecodeError:  # pip, twine and poetry send Latin-1 where that is enough
        decoded = pair.decode("latin-1")
    username, colon, password = decoded.partition(":")
    if not colon or "\0" in decoded:
        raise errors.Unauthenticated
    return username, password
