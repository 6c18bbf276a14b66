"""Settings as they may be shown: without passwords, keys and what URLs carry of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from app import config
from app.config import Settings

HIDDEN = "***"
_USERINFO = re.compile(r"(?<=://)[^/@\s,]*@")
_QUERY = re.compile(r"(?i)([?&][^=&\s]*(?:password|secret|token|key|sig)[^=&\s]*=)[^&\s,]*")
_LOCATED = frozenset({("audit", "webhook")})
"""URLs whose path is a secret: whoever knows it may post there."""


def shown(settings: Settings) -> Mapping[str, Any]:
    """Every setting by its variable, as JSON has it, secrets hidden."""
    return {config.variable(*path): _value(settings, path) for path in config.fields()}


def changed(settings: Settings) -> Mapping[str, Any]:
    """Those of them that are not the default."""
    usual = shown(Settings())
    return {name: value for name, value in shown(settings).items() if value != usual[name]}


def url(text: str) -> str:
    """A text with what URLs in it carry of secrets hidden."""
    hidden = _USERINFO.sub(lambda match: f"{_user(match[0])}{HIDDEN}@", text)
    return _QUERY.sub(rf"\g<1>{HIDDEN}", hidden)


def _user(userinfo: str) -> str:
    """The name, where a password follows it; a text alone may be a token."""
    name, colon, _ = userinfo.rstrip("@").partition(":")
    return f"{name}:" if colon else ""


def _value(settings: Settings, path: tuple[str, ...]) -> Any:
    value: Any = settings
    for name in path:
        value = getattr(value, name)
    if path in _LOCATED and value:
        return "/".join(str(value).split("/")[:3]) + f"/{HIDDEN}"
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, str):
        return url(value)
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(_plain(own) for own in value)
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
