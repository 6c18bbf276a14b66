"""Options of webhooks: the settings group ``PYPICLOUD_WEBHOOKS__…``."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from app.models import Change
from app.options import Options
from app.outbound import target
from app.quantities import Duration

SHORTEST = 16
Form = Literal["json", "slack"]


def _url(value: SecretStr) -> SecretStr:
    target(value.get_secret_value())
    return value


class HookOptions(Options):
    """Whom to tell of what. The URL is a secret: Slack's have their token in the path.

    ``events`` are actions (``publish``, ``yank``, ``delete``, …), none: all; ``projects`` are
    patterns such as ``team-*``. ``secret`` signs what is sent.
    """

    name: str = Field(default="webhook", pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")
    url: Annotated[SecretStr, AfterValidator(_url)] | None = None
    secret: Annotated[SecretStr, Field(min_length=SHORTEST)] | None = None
    format: Form = "json"
    events: tuple[str, ...] = ()
    projects: tuple[str, ...] = ("*",)
    timeout: Duration = timedelta(seconds=10)

    @model_validator(mode="after")
    def _is_printable(self) -> Self:
        if self.secret is not None and not self.secret.get_secret_value().isascii():
            raise ValueError("secret: take ASCII letters, digits and signs, at random")
        return self

    @property
    def id(self) -> str:
        """What tells it from others, in keys of the storage; the URL cannot be read from it."""
        url = self.url.get_secret_value() if self.url else ""
        return hashlib.sha256(f"{self.name}\n{url}".encode()).hexdigest()[:16]

    def wants(self, change: Change) -> bool:
        """Whether it is to hear of this."""
        if change.project is None or (self.events and change.action not in self.events):
            return False
        return any(fnmatchcase(change.project, pattern) for pattern in self.projects)


class WebhookOptions(HookOptions):
    """One webhook, and any number ``more``."""

    more: tuple[HookOptions, ...] = ()

    @model_validator(mode="after")
    def _are_told_apart(self) -> Self:
        if any(one.url is None for one in self.more):
            raise ValueError("more: each has a url")
        names = [one.name for one in self.all]
        if len(names) != len(set(names)):
            raise ValueError("more: each has a name of its own")
        return self

    @property
    def all(self) -> tuple[HookOptions, ...]:
        """Those that have somewhere to go."""
        return (*((self,) if self.url is not None else ()), *self.more)
