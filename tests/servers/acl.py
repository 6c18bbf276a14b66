"""A server of users and grants as PyPICloud 1 asked them, which may be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from tests.servers import wire

PASSWORD = "a fine long passphrase"
CREDENTIALS = ("index", "pässword of the index")


class Asked(NamedTuple):
    """A request: its method, its target as sent, its parameters."""

    method: str
    target: str
    parameters: Mapping[str, str]


class AclServer:
    """Knows ``users`` by name: whether they are admins, their groups; and ``packages``.

    ``wrong`` are the raw answers to some paths instead; an empty one is never sent.
    """

    def __init__(self) -> None:
        self.users: dict[str, tuple[bool, Sequence[str]]] = {
            "alice": (False, ["web-team", "no group!"]),
            "bob": (True, []),
        }
        self.packages: dict[str, dict[str, dict[str, list[str]]]] = {
            "Flask": {
                "user": {"alice": ["read", "write"], "bob": []},
                "group": {"everyone": ["read"], "web-team": ["read", "fly"]},
            },
            "no project!": {"user": {"alice": ["read"]}, "group": {}},
        }
        self.asked: list[Asked] = []
        self.wrong: dict[str, bytes] = {}
        self.port = 0
        self.encrypted = False

    @property
    def url(self) -> str:
        """What to give as access."""
        return f"remote:http{'s' if self.encrypted else ''}://127.0.0.1:{self.port}/acl"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := await wire.read_head(reader):
                body = b"".join([piece.raw async for piece in wire.read_body(reader, head)])
                path, _, query = head.first[1].partition("?")
                given = body.decode() if head.first[0] == "POST" else query
                parameters = dict(parse_qsl(given))
                self.asked.append(Asked(head.first[0], head.first[1], parameters))
                wrong = self.wrong.get(path.removeprefix("/acl"))
                if wrong == b"":
                    await asyncio.sleep(60)
                writer.write(wrong or self._answer(head, path, parameters))
                await writer.drain()
                if wrong:
                    break
        except (OSError, asyncio.CancelledError, *wire.CLOSED):
            return
        finally:
            writer.close()

    def _answer(self, head: wire.Head, path: str, given: Mapping[str, str]) -> bytes:
        pair = base64.b64encode(":".join(CREDENTIALS).encode()).decode()
        if head.headers.get("authorization") != f"Basic {pair}":
            return said(401, "no")
        found = self._found(path.removeprefix("/acl/"), given)
        return said(404, "no") if found is None else said(200, found)

    def _found(self, what: str, given: Mapping[str, str]) -> Any:
        name = given.get("username", "")
        admin, groups = self.users.get(name, (False, []))
        match what:
            case "verify":
                return name in self.users and given.get("password") == PASSWORD
            case "groups":
                return list(groups) if name else ["web-team", "empty"]
            case "group_members":
                return [one for one, (_, own) in self.users.items() if given["group"] in own]
            case "admin":
                return admin
            case "user_data" if not name:
                return [{"username": one, "admin": own[0]} for one, own in self.users.items()]
            case "user_data" if name in self.users:
                return {"username": name, "admin": admin, "groups": groups}
            case "user_permissions" | "group_permissions":
                spelled = {one.lower(): own for one, own in self.packages.items()}
                kinds = spelled.get(given["package"], {})
                return kinds.get(what.partition("_")[0], {})
            case "user_package_permissions" | "group_package_permissions":
                kind = what.partition("_")[0]
                whom = given.get("group", name)
                return [
                    {"package": one, "permissions": own[kind][whom]}
                    for one, own in self.packages.items()
                    if whom in own[kind]
                ]
        return None


def said(status: int, value: object, *headers: str) -> bytes:
    """An answer on the wire."""
    return raw(status, json.dumps(value).encode(), *headers)


def raw(status: int, body: bytes, *headers: str) -> bytes:
    """The same, of any body."""
    lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[AclServer]:
    """A server in this event loop."""
    found = AclServer()
    async with await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls) as listening:
        found.port = listening.sockets[0].getsockname()[1]
        found.encrypted = tls is not None
        yield found
