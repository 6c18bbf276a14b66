"""The entry points that a wheel declares (entry points specification). Pure."""

from __future__ import annotations

import configparser
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST = 1000
"""Entry points that are shown."""
_NAME = ".dist-info/entry_points.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPointsView:
    """Those of one wheel, by group: what each is called, and what it leads to."""

    project: str
    project_url: str
    version: str
    filename: str
    groups: Mapping[str, Mapping[str, str]]
    readable: bool = True


def member(names: Iterable[str]) -> str | None:
    """The file of a wheel's that declares them; None where it declares none."""
    return next((one for one in names if one.endswith(_NAME) and one.count("/") == 1), None)


def parsed(text: str) -> Mapping[str, Mapping[str, str]] | None:
    """Groups and what is in them, in their order; None for what cannot be read."""
    reader = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None)
    reader.optionxform = str  # type: ignore[assignment,method-assign]  # names are as they are
    try:
        reader.read_string(text)
        found = {group: dict(list(reader[group].items())[:MOST]) for group in reader.sections()}
    except (configparser.Error, ValueError):
        return None
    return dict(list(found.items())[:MOST])
