"""What of an upstream may be handed out: the one place that decides. Pure.

Pages, files, core metadata, the JSON API and what is kept here all ask it, each time; so a
rule that is set today holds for what came yesterday.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Self

from packaging.utils import NormalizedName

from app import errors
from app.models import Kind
from app.upstream.entries import Entry
from app.upstream.options import FileRuleOptions, RuleOptions, aged, matches, publishing
from app.upstream.specs import Spec


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which rule keeps a file back, and why; ``until``: when it no longer will."""

    rule: str
    why: str
    until: datetime | None = None

    def error(self, filename: str) -> errors.Withheld:
        """What to answer whoever asks for the file."""
        return errors.Withheld(
            f"{filename!r} is withheld by the rule {self.rule!r}: {self.why}. "
            "Whoever runs this index can lift it."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """The rules for files: those for all upstreams, or those of one."""

    no_minimum_age: tuple[Spec, ...] = ()
    allow: tuple[Spec, ...] = ()
    deny: tuple[Spec, ...] = ()
    quarantine: tuple[Spec, ...] = ()
    only_wheels: tuple[Spec, ...] = ()
    only_attested: tuple[Spec, ...] = ()
    only_publishers: tuple[tuple[Spec, str], ...] = ()

    @classmethod
    def of(cls, options: FileRuleOptions) -> Self:
        """Those of the settings."""
        return cls(
            no_minimum_age=options.parsed("no_minimum_age"),
            allow=options.parsed("allow"),
            deny=options.parsed("deny"),
            quarantine=options.parsed("quarantine"),
            only_wheels=options.parsed("only_wheels"),
            only_attested=options.parsed("only_attested"),
            only_publishers=tuple(map(publishing, options.only_publishers)),
        )

    def publishers(self, name: NormalizedName, entry: Entry) -> tuple[str, ...]:
        """Patterns of those who alone may have published a file; none where anybody may."""
        return tuple(who for spec, who in self.only_publishers if spec.covers(name, entry))

    def decide(self, name: NormalizedName, entry: Entry) -> Refusal | None:
        """Why a file may not be handed out, however old it is; None: it may."""
        if found := _first(self.quarantine, name, entry):
            return Refusal("quarantine", f"{found.text!r} is in quarantine")
        if found := _first(self.deny, name, entry):
            return Refusal("deny", f"{found.text!r} is denied")
        if entry.sha256 is None:
            for rule, specs in (("quarantine", self.quarantine), ("deny", self.deny)):
                if found := next((spec for spec in specs if spec.sha256), None):
                    why = f"its upstream does not say whether it is {found.text!r}"
                    return Refusal(rule, why)
        if self.allow and not _first(self.allow, name, entry):
            return Refusal("allow", "it is not on the list of what is allowed")
        if entry.kind is not Kind.WHEEL and (found := _first(self.only_wheels, name, entry)):
            return Refusal("only_wheels", f"of {found.text!r} only wheels are handed out")
        if entry.provenance is None and (found := _first(self.only_attested, name, entry)):
            return Refusal("only_attested", f"of {found.text!r} only attested files are handed out")
        # Those that the upstream names, in lower case; nobody where that is not known.
        known, theirs = self.publishers(name, entry), entry.publishers or ()
        if known and not any(fnmatchcase(one, who) for one in theirs for who in known):
            return Refusal("only_publishers", f"only those of {', '.join(known)} are handed out")
        return None


NONE = FileRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules for names, and those for the files of all upstreams."""

    reserved: tuple[str, ...]
    released: tuple[str, ...]
    shared: tuple[str, ...]
    merged: tuple[str, ...]
    minimum_age: timedelta | None
    minimum_ages: tuple[tuple[Spec, timedelta], ...]
    files: FileRules

    @classmethod
    def of(cls, options: RuleOptions) -> Self:
        """Those of the settings."""
        return cls(
            reserved=options.reserved,
            released=options.released,
            shared=options.shared,
            merged=options.merged,
            minimum_age=options.minimum_age,
            minimum_ages=tuple(map(aged, options.minimum_ages)),
            files=FileRules.of(options),
        )

    def reserves(self, name: NormalizedName) -> bool:
        """Whether the name is ours though nobody uploaded it."""
        return matches(name, self.reserved)

    def releases(self, name: NormalizedName) -> bool:
        """Whether upstreams may have a name again that was ours once."""
        return matches(name, self.released) and not self.reserves(name)

    def shares(self, name: NormalizedName) -> bool:
        """Whether upstreams' files stand beside those of a project of ours."""
        return matches(name, self.shared) and not self.reserves(name)

    def merges(self, name: NormalizedName) -> bool:
        """Whether the files of all upstreams that have a project stand on one page."""
        return matches(name, self.merged)

    def publishers(self, name: NormalizedName, entry: Entry, *, own: FileRules = NONE) -> bool:
        """Whether it matters who published a file; ``own`` are the rules of its upstream."""
        return any(rules.publishers(name, entry) for rules in (self.files, own))

    def decide(
        self,
        name: NormalizedName,
        entry: Entry,
        *,
        now: datetime,
        minimum_age: timedelta | None = None,
        own: FileRules = NONE,
    ) -> Refusal | None:
        """Why a file may not be handed out; None: it may.

        ``minimum_age`` is the upstream's own, which wins over that of all, as one for the
        project does over both; ``own`` are its other rules, which hold beside those of all.
        """
        for rules in (self.files, own):
            if (refusal := rules.decide(name, entry)) is not None:
                return refusal
        ages = (age for spec, age in self.minimum_ages if spec.covers(name, entry))
        age = next(ages, minimum_age or self.minimum_age)
        exceptions = (*self.files.no_minimum_age, *own.no_minimum_age)
        if age is None or _first(exceptions, name, entry):
            return None
        return _cooldown(entry, age, now)


def _cooldown(entry: Entry, age: timedelta, now: datetime) -> Refusal | None:
    if entry.upload_time is None:
        return Refusal("minimum_age", "its upstream does not say when it was uploaded")
    if now - entry.upload_time >= age:
        return None
    try:
        until = entry.upload_time + age
    except OverflowError:  # uploaded at the end of all time, it says
        return Refusal("minimum_age", "its upstream does not say when it was uploaded")
    return Refusal("minimum_age", f"it is too new until {until:%Y-%m-%d %H:%M} UTC", until)


def _first(specs: Sequence[Spec], name: NormalizedName, entry: Entry) -> Spec | None:
    return next((spec for spec in specs if spec.covers(name, entry)), None)
