"""The configuration of a PyPICloud 1: its INI file, and the environment that wins over it."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app import errors

PREFIX = "PPC_"
FAMILIES = ("db.", "auth.db.", "session.")
"""Of these every variable is an option, whatever its name."""
AZURE: Mapping[str, str] = {
    "AZURE_STORAGE_ACCOUNT": "storage.storage_account_name",
    "AZURE_STORAGE_KEY": "storage.storage_account_key",
    "AZURE_STORAGE_SERVICE_ENDPOINT": "storage.storage_account_url",
}
"""Variables that stood in for options which were not set."""
_TRUE = frozenset({"true", "yes", "on", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "off", "0", "f", "n", ""})
_PEOPLE = re.compile(r"(?:user|group|package)\.")
_OURS = re.compile(r"(?:pypi|storage|db|auth|session|pyramid|user|group|package)\.|filter-with\Z")


@dataclass(slots=True)
class Site:
    """The options by name; whoever asks for one has accounted for it.

    ``file`` is the INI file, ``server`` what other sections say of the server.
    """

    file: Path
    options: Mapping[str, str]
    sources: Mapping[str, str] = field(default_factory=dict)
    server: Mapping[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    def text(self, name: str, default: str = "") -> str:
        """The value of an option, or the default where it is absent or empty."""
        self.asked.add(name)
        return self.options.get(name, "").strip() or default

    def needed(self, name: str) -> str:
        """The value of an option that must be there; errors.Misconfigured."""
        text = self.text(name)
        if not text:
            raise errors.Misconfigured(f"{self.file}: {name} is not set")
        return text

    def path(self, name: str) -> str:
        """A path, which is taken from where the file lies; empty where there is none."""
        text = self.text(name)
        return str(self.file.parent.resolve() / text) if text else ""

    def words(self, name: str, default: str = "") -> tuple[str, ...]:
        """The words of a list: PyPICloud's are separated by white space alone."""
        return tuple(self.text(name, default).split())

    def lines(self, name: str) -> tuple[str, ...]:
        """The lines of a list whose values may have spaces in them."""
        return tuple(line.strip() for line in self.text(name).splitlines() if line.strip())

    def truth(self, name: str, default: bool = False) -> bool:
        """A truth; errors.Misconfigured for another word."""
        text = self.text(name).lower()
        if not text:
            return default
        if text not in _TRUE | _FALSE:
            raise errors.Misconfigured(f"{self.file}: {name} is neither true nor false")
        return text in _TRUE

    def number(self, name: str) -> int | None:
        """A whole number; errors.Misconfigured for another word."""
        text = self.text(name)
        if text and not re.fullmatch(r"\d{1,12}", text):
            raise errors.Misconfigured(f"{self.file}: {name} is no whole number")
        return int(text) if text else None

    def people(self) -> Iterator[str]:
        """The options that are users, groups and permissions."""
        return (name for name in self.options if _PEOPLE.match(name))

    def given(self, name: str) -> bool:
        """Whether an option was set, to nothing even."""
        return name in self.options


def read(file: Path, environment: Mapping[str, str], known: frozenset[str]) -> Site:
    """The configuration; ``known`` are the names that variables are looked up for.

    Raises errors.Misconfigured, one line, for a file that cannot be read.
    """
    parser = configparser.ConfigParser(
        {"here": str(file.parent.resolve()), "__file__": str(file.resolve())},
        strict=False,
        interpolation=None,
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    try:
        parser.read_string(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as unreadable:
        raise errors.Misconfigured(
            f"{file} cannot be read: {getattr(unreadable, 'strerror', None) or 'it is no UTF-8'}"
        ) from None
    except configparser.Error as wrong:
        line = getattr(wrong, "lineno", None) or next(
            (number for number, _ in getattr(wrong, "errors", ())), None
        )
        where = f", line {line}" if line else ""
        raise errors.Misconfigured(f"{file}{where}: this is no INI file.") from None
    section = _application(parser, file)
    options = _interpolated(parser, section)
    sources = dict.fromkeys(options, "file")
    for variable, value in environment.items():
        if variable.startswith(PREFIX):
            name = _option(variable, known)
            if not _PEOPLE.match(name):  # those it never took from variables
                options[name], sources[name] = value, variable
    if options.get("pypi.storage", "").strip() == "azure-blob":
        for variable, name in AZURE.items():
            if name not in options and environment.get(variable):
                options[name], sources[name] = environment[variable], variable
    server = {
        f"{kind}.{name}": value
        for kind in ("server:main", "uwsgi")
        if parser.has_section(kind)
        for name, value in _interpolated(parser, kind).items()
    }
    return Site(file, options, sources, server)


def _application(parser: configparser.ConfigParser, file: Path) -> str:
    if parser.has_section("app:main"):
        return "app:main"
    named = [name for name in parser.sections() if name.startswith("app:")]
    found = [name for name in named if "pypicloud" in parser.get(name, "use", fallback="")]
    if len(found) != 1:
        raise errors.Misconfigured(f"{file} has no section [app:main]; is it PyPICloud's?")
    return found[0]


def _interpolated(parser: configparser.ConfigParser, section: str) -> dict[str, str]:
    """The options of a section with ``%(here)s`` in its place; an odd ``%`` stays as it is."""
    raw = dict(parser.items(section))
    defaults = parser.defaults()

    def value(text: str) -> str:
        filled = re.sub(r"%\((\w+)\)s", lambda match: raw.get(match[1], match[0]), text)
        return filled.replace("%%", "%")

    return {name: value(text) for name, text in raw.items() if name not in defaults}


def _option(variable: str, known: frozenset[str]) -> str:
    """The option that a variable stands for: dots became underscores."""
    text = variable.removeprefix(PREFIX)
    for name in known:
        if name.replace(".", "_").upper() == text:
            return name
    for family in FAMILIES:
        start = family.replace(".", "_").upper()
        if text.startswith(start):
            return family + text.removeprefix(start).lower()
    return text.lower().replace("_", ".", 1)


def is_ours(name: str) -> bool:
    """Whether an option looks like one of PyPICloud's, known or not."""
    return _OURS.match(name) is not None
