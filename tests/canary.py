"""Secrets are looked for wherever the service writes: a test in which one shows up fails.

Every password, token and cookie that a test sends to a server of ``tests.serving`` is noted on
its way in, and from then on searched for in each answer and in each line that is logged;
whatever looks like a token, a session's cookie, a hash of a password or a private key needs no
noting. Servers in processes of their own hand their logs to ``require_clean`` at the end.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST = 12
"""Characters of the shortest secret that is searched for: what passwords have at least."""
DIFFERENT = 4
"""Characters that differ, in what could be a secret."""
NOTED = 5000
LATELY = 100
"""Secrets, of those that were noted, that are looked for in answers."""
LARGEST = 2**20
"""Bytes of an answer that are looked at."""
TOKEN = re.compile(rb"pypi-ppc[uprso]_[0-9A-Za-z]{50}(?![0-9A-Za-z])")
SHOWN = re.compile(
    TOKEN.pattern + rb"|\$argon2id\$v=\d|\$[56]\$rounds|\$pbkdf2-sha|\$2b\$\d\d\$[./0-9A-Za-z]{50}"
    rb"|BEGIN (?:[A-Z]+ )?PRIVATE KEY|(?:__Host-)?pypicloud=[0-9A-Za-z_-]{43}"
)
"""What no log, page, error or export holds, whoever's it is."""
SHOWN_ONCE = re.compile(
    r"/api/v1/tokens(?:/[^/]+/rotate)?|/account/tokens|/_/oidc/(?:github/)?mint-token"
    r"|/api/v1/registrations/tokens"
)
"""Where a secret is what was asked for."""
FIELDS = frozenset({"password", "again", "present", "old_password", "new_password", "token"})


class Canary:
    """What was noted, and where it showed up; one for all servers of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: OrderedDict[bytes, None] = OrderedDict()
        self._leaks: list[str] = []

    def note(self, secret: str) -> None:
        """Search for this from now on; not for filling, such as many times the same letter."""
        if len(secret) >= LEAST and len(set(secret)) >= DIFFERENT:
            with self._lock:
                self._secrets[secret.encode("utf-8", "replace")] = None
                self._secrets.move_to_end(secret.encode("utf-8", "replace"))
                while len(self._secrets) > NOTED:
                    self._secrets.popitem(last=False)

    def look(self, text: bytes, where: str, *, most: int = NOTED) -> None:
        """Search a text; what is found is told by ``raise_leaks``."""
        with self._lock:
            secrets = list(self._secrets)[-most:]
            for secret in _found(text, secrets):
                self._leaks.append(f"{where} has {secret!r}")

    def raise_leaks(self) -> None:
        """AssertionError if anything was found since the last time."""
        with self._lock:
            leaks, self._leaks = self._leaks, []
        assert not leaks, "\n".join(leaks)


CANARY = Canary()


class Handler(logging.Handler):
    """Looks at every line that is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line, with its traceback."""
        if record.name.startswith(("app", "uvicorn", "pypicloud", "asyncio")):
            line = self.format(record).encode("utf-8", "replace")
            CANARY.look(line, f"the log of {record.name}")


class Watched:
    """A service whose requests and answers are looked at."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on as it is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _note_headers(scope["headers"])
        asked, answered = bytearray(), bytearray()
        kind = dict(scope["headers"]).get(b"content-type", b"")
        told = kind.startswith((b"application/json", b"application/x-www-form-urlencoded"))

        async def receiving() -> Message:
            message = await receive()
            if told and message["type"] == "http.request" and len(asked) < LARGEST:
                asked.extend(message.get("body", b""))
                if not message.get("more_body"):
                    _note_body(bytes(asked))
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                for name, value in message.get("headers", ()):
                    if name.lower() != b"set-cookie":
                        answered.extend(name + b": " + value + b"\r\n")
            elif len(answered) < LARGEST:
                answered.extend(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receiving, sending)
        finally:
            path: str = scope["path"]
            if not SHOWN_ONCE.search(path) and "/files/" not in path:
                where = f"the answer to {scope['method']} {path}"
                CANARY.look(bytes(answered), where, most=LATELY)


def require_clean(text: str | bytes, *secrets: str) -> None:
    """AssertionError for a text with one of these secrets, or what looks like any."""
    content = text.encode() if isinstance(text, str) else text
    noted = [secret.encode() for secret in secrets if len(secret) >= LEAST]
    found = list(_found(content, noted))
    assert not found, found


def left_behind(folder: Path) -> Iterator[str]:
    """Files below a folder of what servers wrote (logs, exports, databases) that hold a token."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".log", ".jsonl", ".db", ".db-wal") and path.is_file():
            with path.open("rb") as file:
                content = file.read(64 * LARGEST)
            kept = path.suffix in (".db", ".db-wal")
            if match := (TOKEN if kept else SHOWN).search(content):
                yield f"{path} has {match[0]!r}"


def _found(text: bytes, secrets: Iterable[bytes]) -> Iterator[bytes]:
    yield from (match[0] for match in SHOWN.finditer(text))
    yield from (secret for secret in secrets if secret in text)


def _note_headers(headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            sent = rest.strip()
            if scheme.lower() == b"basic":
                try:
                    sent = base64.b64decode(sent, validate=True).partition(b":")[2]
                except binascii.Error:
                    continue
            CANARY.note(sent.decode("utf-8", "replace"))
        elif name == b"cookie":
            for one in value.split(b";"):
                CANARY.note(one.partition(b"=")[2].decode("latin-1"))


def _note_body(body: bytes) -> None:
    try:
        sent = json.loads(body)
    except ValueError:
        sent = dict(parse_qsl(body.decode("latin-1")))
    if isinstance(sent, dict):
        for name in FIELDS & sent.keys():
            if isinstance(sent[name], str):
                CANARY.note(sent[name])
