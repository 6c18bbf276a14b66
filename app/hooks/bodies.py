"""What a webhook is sent, and how it is signed. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.hooks.options import HookOptions
from app.models import Change


def body(hook: HookOptions, changes: Sequence[Change], now: datetime) -> bytes:
    """The changes in the hook's form, as bytes to sign and send."""
    made: dict[str, Any]
    if hook.format == "slack":
        made = {"text": "\n".join(map(_line, changes))}
    else:
        made = {"hook": hook.name, "sent": _time(now), "changes": [_entry(one) for one in changes]}
    return json.dumps(made, ensure_ascii=True, separators=(",", ":")).encode()


def signature(secret: str, sent: bytes) -> str:
    """``sha256=`` and the HMAC-SHA256 of the body, hexadecimal."""
    return f"sha256={hmac.new(secret.encode(), sent, hashlib.sha256).hexdigest()}"


def _entry(change: Change) -> dict[str, Any]:
    return {
        "serial": change.serial,
        "action": change.action,
        "time": _time(change.time),
        "actor": f"{change.actor.kind}:{change.actor.id}",
        "project": change.project,
        "version": change.version,
        "filename": change.filename,
    }


def _line(change: Change) -> str:
    what = change.filename or " ".join(filter(None, (change.project, change.version)))
    who = f"{change.actor.kind}:{change.actor.id}"
    return f"*{change.action}* `{_plain(what)}` by {_plain(who)}"


def _plain(text: str) -> str:
    """As Slack wants it: no name may become a link or call a channel."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("`", "'")):
        text = text.replace(sign, instead)
    return text


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
