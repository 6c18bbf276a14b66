"""How log lines look: for people, or JSON for machines; with the request's id, never a secret.

Whatever a line says, what looks like a credential is struck out of it last: library code that
quotes a URL or a header does not know better.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered; empty outside of one."""

STRUCK = "[struck out]"
_SECRETS = (
    (re.compile(r"\bpypi-ppc[a-z]_[0-9A-Za-z]{8,}"), STRUCK),
    (re.compile(r"\bpypi-[A-Za-z0-9_-]{40,}"), STRUCK),
    (re.compile(r"(?i)\b((?:basic|bearer|token)\s+)[A-Za-z0-9+/=._~-]{12,}"), rf"\1{STRUCK}"),
    # What stands before the host of a URL.
    (re.compile(r"(?<=://)[^\s/?#@\"']+@"), f"{STRUCK}@"),
    # What makes a signed URL: whoever has it may fetch the file.
    (
        re.compile(
            r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|x-goog-signature|"
            r"signature|sig|token|password|secret|api[-_]?key|access[-_]?token|code)=)[^&\s\"']+"
        ),
        rf"\1{STRUCK}",
    ),
    (re.compile(r"\b((?:__Host-)?pypicloud=)[0-9A-Za-z_-]{20,}"), rf"\1{STRUCK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"), STRUCK),
    (re.compile(r"\$(?:argon2\w*|2[aby]|5|6|pbkdf2-\w+)\$[^\s\"']+"), STRUCK),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)"), STRUCK),
)
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


def without_secrets(text: str) -> str:
    """The text, with what looks like a credential struck out."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class Plain(logging.Formatter):
    """``LEVEL: message``, the request's id behind it; one event may take several lines."""

    def __init__(self) -> None:
        super().__init__("%(levelname)-8s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The lines."""
        text = super().format(record)
        asked = request.get()
        if asked and asked not in text:
            first, newline, rest = text.partition("\n")
            text = f"{first} [{asked}]{newline}{rest}"
        return without_secrets(text)


class Json(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, ``request``.

    Of an access: ``client``, ``method``, ``path``, ``status``. Of a failure: ``exception``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        made: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            "process": record.process,
        }
        if asked := request.get():
            made["request"] = asked
        if record.name == "uvicorn.access" and isinstance(record.args, tuple):
            client, method, path, _, status = record.args
            made |= {"client": client, "method": method, "status": status}
            made["path"] = without_secrets(str(path))
        more = {k: v for k, v in record.__dict__.items() if k not in _OWN}
        made |= {key: without_secrets(str(value)) for key, value in more.items()}
        if record.exc_info:
            made["exception"] = without_secrets(self.formatException(record.exc_info))
        if record.stack_info:
            made["stack"] = without_secrets(record.stack_info)
        return json.dumps(made, ensure_ascii=False, default=str)


def configuration(level: str, form: str) -> dict[str, Any]:
    """For logging.config: uvicorn's loggers and ours, to standard error; accesses to output."""
    formatter = "app.logs.Json" if form == "json" else "app.logs.Plain"
    kept = {"level": level.upper(), "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"chosen": {"()": formatter}},
        "handlers": {
            "default": {
                "class": "logging.StreamHandler",
                "formatter": "chosen",
                "stream": "ext://sys.stderr",
            },
            "access": {
                "class": "logging.StreamHandler",
                "formatter": "chosen",
                "stream": "ext://sys.stdout",
            },
        },
        "root": {"handlers": ["default"], "level": "WARNING"},
        "loggers": {
            "app": {"handlers": ["default"], **kept},
            "uvicorn": {"handlers": ["default"], **kept},
            "uvicorn.error": {"level": level.upper()},
            "uvicorn.access": {"handlers": ["access"], **kept},
        },
    }
