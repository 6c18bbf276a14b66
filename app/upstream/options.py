"""Settings of upstreams and of the rules for what comes from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    TypeAdapter,
    model_validator,
)
from pydantic_settings import NoDecode

from app.options import Options
from app.outbound import target
from app.quantities import Duration, Interval, Size
from app.upstream.specs import Spec, spec

RuleName = Literal["no_minimum_age", "allow", "deny", "quarantine", "only_wheels", "only_attested"]
Policy = Literal["none", "redirect", "cache", "mirror"]

_PATTERN = re.compile(r"[a-z0-9*](?:[a-z0-9*-]*[a-z0-9*])?\Z")
_PUBLISHER = re.compile(r"[a-z*]+:[a-z0-9*][a-z0-9*._@/+-]*\Z")
_HOST = re.compile(r"\*\Z|(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?\Z")


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part for part in re.split(r"[\s,]+", value) if part]


def _semicolons(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(";") if part.strip()]


def _patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(re.sub(r"[-_.]+", "-", one).lower() for one in value)
    if not all(map(_PATTERN.match, found)):
        raise ValueError("write names of projects; '*' stands for any characters: 'acme-*'")
    return found


def _hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(host.lower() for host in value)
    if not all(map(_HOST.match, found)):
        raise ValueError("write hosts: 'files.example', '*.example', 'files.example:8443' or '*'")
    return found


def _specs(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        spec(one)
    return value


def aged(text: str) -> tuple[Spec, timedelta]:
    """``name>=1 = 7 d``: what is meant, and how old it must be; ValueError."""
    what, equals, age = text.rpartition("=")
    if not equals:
        raise ValueError("write what is meant and its age: 'acme-* = 7 d'")
    return spec(what.strip()), _AGE.validate_python(age.strip())


def _ages(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        aged(one)
    return value


def publishing(text: str) -> tuple[Spec, str]:
    """``acme-* = github:acme/*``: what is meant, and a pattern of who publishes it; ValueError."""
    what, equals, who = text.rpartition("=")
    who = who.strip().lower()
    if not equals or not _PUBLISHER.match(who):
        raise ValueError("write what is meant and its publisher: 'acme-* = github:acme/*'")
    return spec(what.strip()), who


def _publishers(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        publishing(one)
    return value


_AGE: TypeAdapter[timedelta] = TypeAdapter(Duration)
Patterns = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_patterns)]
"""Names of projects, with ``*`` for any characters, in their one spelling."""
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_hosts)]
Specs = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_semicolons), AfterValidator(_specs)]
"""What a rule is about (specs.spec); separated by semicolons."""


Ages = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_semicolons), AfterValidator(_ages)]
"""Minimum ages of some, as ``aged`` reads them; the first that covers a file decides."""


Publishers = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_semicolons), AfterValidator(_publishers)
]
"""Who may have published some, as ``publishing`` reads them; of several, any."""


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a normalised name is one of the patterns'."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


class FileRuleOptions(Options):
    """Rules on files, of all upstreams or of one."""

    no_minimum_age: Specs = ()
    allow: Specs = ()
    deny: Specs = ()
    quarantine: Specs = ()
    only_wheels: Specs = ()
    only_attested: Specs = ()
    only_publishers: Publishers = ()

    def parsed(self, which: RuleName) -> tuple[Spec, ...]:
        """The specs of one rule."""
        return tuple(map(spec, getattr(self, which)))


class UpstreamOptions(Options):
    """One index to fall back on. ``url`` is what clients would be given as index URL.

    ``hosts`` are those beside its own that may hold its files; credentials go to its own
    origin alone. ``minimum_age`` wins over that of all upstreams.
    """

    name: str = Field(default="upstream", pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")
    url: str = Field(repr=False)
    policy: Policy = "cache"
    username: str | None = Field(default=None, pattern=r"^[!-9;-~]+$")
    password: SecretStr | None = None
    token: SecretStr | None = None
    hosts: Hosts = ()
    plain: bool = False
    allow: Patterns = ("*",)
    deny: Patterns = ()
    minimum_age: Interval = None
    rules: FileRuleOptions = FileRuleOptions()
    fresh: Duration = timedelta(minutes=10)
    stale: Duration = timedelta(days=30)
    absent: Duration = timedelta(minutes=1)
    timeout: Duration = timedelta(seconds=10)
    idle: Duration = timedelta(seconds=30)
    largest_page: Size = 64 * 2**20

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        target(self.url, plain=self.plain)
        if "?" in self.url:
            raise ValueError("the URL of an upstream has no query")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are set together or not at all")
        if self.token is not None and self.password is not None:
            raise ValueError("token and password are two different credentials; set one")
        for secret in (self.token, self.password):
            if secret is not None and not re.fullmatch(r"[ -~]+", secret.get_secret_value()):
                raise ValueError("credentials are printable ASCII")
        return self

    def serves(self, name: str) -> bool:
        """Whether it may be asked for a project at all."""
        chosen = self.policy != "none" and matches(name, self.allow)
        return chosen and not matches(name, self.deny)


class RuleOptions(FileRuleOptions):
    """What may come from upstreams, and which names never do.

    ``reserved`` names are ours though nobody uploaded them; ``released`` ones were once
    ours, and are deleted: upstreams may have them again; ``shared`` ones are ours, and the
    files that upstreams have are shown as well; of ``merged`` ones all upstreams' files are.
    The others are rules on files (rules.decide).
    """

    reserved: Patterns = ()
    released: Patterns = ()
    shared: Patterns = ()
    merged: Patterns = ()
    minimum_age: Interval = None
    minimum_ages: Ages = ()
