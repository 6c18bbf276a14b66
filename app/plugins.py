"""URL scheme → backend: ours, or an installed distribution's entry point.

A backend's module is imported only when its scheme is asked for, so that a vendor's SDK
need not be there until then. Third parties name a ``connect`` function under one of the
entry-point groups ``pypicloud.storage``, ``pypicloud.cache`` and ``pypicloud.access``, the
entry point's name being the URL scheme; ours cannot be replaced that way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from typing import Any, Literal

from app import errors

Kind = Literal["storage", "cache", "access"]
Connect = Callable[[str, Mapping[str, Any]], AbstractAsyncContextManager[Any]]
"""Opens a backend: the URL and the options of its settings group."""

OURS: Mapping[Kind, Mapping[str, str]] = {
    "storage": {
        "file": "app.storage.file",
        "memory": "app.storage.memory",
        "s3": "app.storage.s3",
        "cloudfront": "app.storage.cloudfront",
        "gs": "app.storage.gcs",
        "azure": "app.storage.azure",
    },
    "cache": {
        "sqlite+aiosqlite": "app.cache.sql",
        "postgresql": "app.cache.sql",
        "postgresql+asyncpg": "app.cache.sql",
        "mysql": "app.cache.sql",
        "mysql+asyncmy": "app.cache.sql",
        "mariadb": "app.cache.sql",
        "mariadb+asyncmy": "app.cache.sql",
        "redis": "app.cache.redis",
        "rediss": "app.cache.redis",
        "redis+cluster": "app.cache.redis",
        "rediss+cluster": "app.cache.redis",
        "redis+sentinel": "app.cache.redis",
        "rediss+sentinel": "app.cache.redis",
        "redis+unix": "app.cache.redis",
        "valkey": "app.cache.redis",
        "valkeys": "app.cache.redis",
        "valkey+cluster": "app.cache.redis",
        "valkeys+cluster": "app.cache.redis",
        "valkey+sentinel": "app.cache.redis",
        "valkeys+sentinel": "app.cache.redis",
        "valkey+unix": "app.cache.redis",
        "dynamodb": "app.cache.dynamodb",
        "memory": "app.cache.memory",
    },
    "access": {
        "config": "app.access.config",
        "sqlite+aiosqlite": "app.access.sql",
        "postgresql": "app.access.sql",
        "postgresql+asyncpg": "app.access.sql",
        "mysql": "app.access.sql",
        "mysql+asyncmy": "app.access.sql",
        "mariadb": "app.access.sql",
        "mariadb+asyncmy": "app.access.sql",
        "ldap": "app.access.ldap",
        "ldaps": "app.access.ldap",
        "remote": "app.access.remote",
        "aws-secrets": "app.access.aws_secrets",
        "dynamodb": "app.access.dynamodb",
    },
}

EXTRAS: Mapping[str, str] = {
    "ldap": "ldap",
    "ldaps": "ldap",
    "remote": "remote",
    "aws-secrets": "aws-secrets",
    "s3": "s3",
    "cloudfront": "s3",
    "gs": "gcs",
    "azure": "azure",
    "dynamodb": "dynamodb",
    "postgresql": "postgresql",
    "postgresql+asyncpg": "postgresql",
    "mysql": "mysql",
    "mysql+asyncmy": "mysql",
    "mariadb": "mysql",
    "mariadb+asyncmy": "mysql",
    "redis": "redis",
    "rediss": "redis",
    "redis+cluster": "redis",
    "rediss+cluster": "redis",
    "redis+sentinel": "redis",
    "rediss+sentinel": "redis",
    "redis+unix": "redis",
    "valkey": "redis",
    "valkeys": "redis",
    "valkey+cluster": "redis",
    "valkeys+cluster": "redis",
    "valkey+sentinel": "redis",
    "valkeys+sentinel": "redis",
    "valkey+unix": "redis",
}
"""URL scheme → the extra of this distribution that brings its libraries."""


def backend(kind: Kind, url: str) -> Connect:
    """The ``connect`` of the backend that ``url`` names.

    Raises errors.Misconfigured for a scheme nobody provides, and for a backend whose
    libraries are not installed.
    """
    scheme, colon, _ = url.partition(":")
    if not colon:
        raise errors.Misconfigured(f"{kind} URL without a scheme; known schemes: {_known(kind)}")
    if scheme in OURS[kind]:
        return _ours(kind, scheme)
    for entry_point in entry_points(group=f"pypicloud.{kind}", name=scheme):
        connect: Connect = entry_point.load()
        return connect
    raise errors.Misconfigured(
        f"No {kind} for the URL scheme {scheme!r}; known schemes: {_known(kind)}"
    )


def polling() -> Callable[..., AbstractAsyncContextManager[Any]]:
    """``app.notices.sqs.polling``; errors.Misconfigured where its libraries are not installed."""
    try:
        found: Callable[..., Any] = importlib.import_module("app.notices.sqs").polling
    except ModuleNotFoundError as missing:
        what = f"A queue of SQS needs {missing.name}, which is not installed"
        raise errors.Misconfigured(what + brought_by("s3")) from missing
    return found


def _ours(kind: Kind, scheme: str) -> Connect:
    try:
        connect: Connect = importlib.import_module(OURS[kind][scheme]).connect
    except ModuleNotFoundError as missing:
        what = f"The {kind} for {scheme!r} needs {missing.name}, which is not installed"
        raise errors.Misconfigured(what + brought_by(scheme)) from missing
    return connect


def brought_by(scheme: str) -> str:
    """What to install for a URL scheme, as the end of a sentence; empty where nothing is known."""
    name = EXTRAS.get(scheme)
    return f"; pip install 'pypicloud[{name}]' brings it" if name else ""


def _known(kind: Kind) -> str:
    theirs = {entry_point.name for entry_point in entry_points(group=f"pypicloud.{kind}")}
    return ", ".join(sorted({*OURS[kind], *theirs}))
