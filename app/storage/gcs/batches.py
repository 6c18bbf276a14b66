"""Deleting many objects with few requests, a hundred with each."""

from __future__ import annotations

import email
import re
import secrets
from collections.abc import Sequence
from urllib.parse import quote

from app.storage.gcs.client import Client
from app.storage.gcs.failures import Failed

LIMIT = 100
"""Calls that Google takes in one batch."""

_STATUS = re.compile(r"HTTP/1\.[01] (\d{3})\b")
_NUMBER = re.compile(r"(\d+)>?\Z")
_GONE = {"200", "204", "404"}


async def delete(client: Client, names: Sequence[str]) -> list[str]:
    """Remove up to LIMIT objects; returns those of which it is not certain that they are gone."""
    boundary = secrets.token_hex(16)
    parts = [
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <delete+{number}>\r\n\r\n"
        f"DELETE /storage/v1/b/{client.bucket}/o/{quote(name, safe='')} HTTP/1.1\r\n\r\n\r\n"
        for number, name in enumerate(names)
    ]
    body = "".join([*parts, f"--{boundary}--\r\n"]).encode()
    try:
        answer = await client.tried(
            lambda: client.send(
                "POST",
                f"{client.endpoint}/batch/storage/v1",
                body,
                headers={"Content-Type": f"multipart/mixed; boundary={boundary}"},
            )
        )
    except Failed:
        # Their own requests tell what is wrong with each.
        return list(names)
    gone = _gone(answer.headers.get("Content-Type", ""), answer.content)
    return [name for number, name in enumerate(names) if number not in gone]


def _gone(content_type: str, content: bytes) -> set[int]:
    """The numbers of the calls that left nothing behind."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    gone: set[int] = set()
    for part in email.message_from_bytes(head + content).walk():
        status = None if part.is_multipart() else _STATUS.match(str(part.get_payload()))
        number = _NUMBER.search(str(part["Content-ID"]))
        if status and number and status[1] in _GONE:
            gone.add(int(number[1]))
    return gone
