"""What becomes of every option of a PyPICloud 1: taken over, not needed, different, imported."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from app.cli.migrating.site import Site, is_ours
from app.config import variable

Verdict = Literal["taken over", "imported", "not needed", "differs", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One option; ``source`` is the file, a variable, or empty where it was not set."""

    option: str
    source: str
    verdict: Verdict
    text: str
    matters: bool = False
    """Whether it is to be told though it was not set: its default then is none now."""


@dataclass(slots=True)
class Account:
    """The lines so far, and the settings that come of them."""

    site: Site
    settings: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    """By setting, the option that it comes from."""

    def set(self, setting: str, value: object) -> None:
        """A setting by its name, ``group.name`` within a group."""
        group, _, name = setting.rpartition(".")
        (self.settings.setdefault(group, {}) if group else self.settings)[name] = value

    def take(self, option: str, setting: str, value: object, text: str = "") -> None:
        """The option becomes a setting; an absent one leaves it at its default."""
        self.options.setdefault(setting, option)
        if self.site.given(option) and self.site.text(option):
            self.set(setting, value)
            self.say(option, "taken over", text or f"as {setting}")
        else:
            self.say(option, "taken over", text or f"as {setting}, where it is set")

    def text(self, option: str, setting: str) -> None:
        """The same for an option that is taken as it stands."""
        self.take(option, setting, self.site.text(option))

    def path(self, option: str, setting: str) -> None:
        """The same for one that names a file."""
        self.take(option, setting, self.site.path(option))

    def say(self, option: str, verdict: Verdict, text: str, *, matters: bool = False) -> None:
        """The line of an option; the first one holds."""
        source = self.site.sources.get(option, "file" if option.startswith("[") else "")
        line = Line(option=option, source=source, verdict=verdict, text=text, matters=matters)
        self.lines.setdefault(option, line)

    def unneeded(self, option: str, why: str) -> None:
        """Nothing is lost without it."""
        self.say(option, "not needed", why)

    def differs(self, option: str, why: str, *, matters: bool = False) -> None:
        """Something works otherwise here, or must be done by hand."""
        self.say(option, "differs", why, matters=matters)

    def explained(self, message: str, group: str = "") -> str:
        """A message on settings, with the options that they come from in their place.

        ``group`` is the one whose settings it calls by their bare names.
        """
        found = re.match(r"PYPICLOUD_([A-Z0-9_]+?)__…: ", message)
        if found:
            group = found[1].lower()
            message = f"{self.site.file}: {message[found.end() :]}"
        for setting, option in self.options.items():
            message = re.sub(rf"\b{variable(*setting.split('.'))}\b", option, message)
            of, _, name = setting.rpartition(".")
            if group and of == group:
                message = re.sub(rf"(?<![\w.]){name}(?![\w.])", option, message)
        return message

    def finish(self, known: frozenset[str]) -> None:
        """Lines for what nobody asked for: the options of backends that are not chosen."""
        for option in sorted({*known, *self.site.options}):
            if option in self.lines:
                continue
            if option in known:
                self.unneeded(option, "the backends that are chosen have no such option")
            elif option.startswith(("db.", "auth.db.")):
                self.unneeded(option, "connections and pools have settings of their own (sql)")
            elif option.startswith("session."):
                self.unneeded(option, "sessions are kept by the server, with secure cookies")
            elif is_ours(option) and not option.startswith("pyramid."):
                self.say(option, "unknown", "PyPICloud 1.3 has no such option either; ignored")
            else:
                self.unneeded(option, "an option of the web server or framework of then")
