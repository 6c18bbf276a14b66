"""Settings as TOML, for the file that ``PYPICLOUD_CONFIG`` names. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Settings = Mapping[str, Any]
"""By name: texts, numbers, truths, lists of texts; and groups of the same."""


def dump(settings: Settings, remarks: Iterable[str] = ()) -> str:
    """The text of a file; ``remarks`` stand above all as comments, a line each."""
    lines = [f"# {remark}".rstrip() for remark in remarks]
    lines += ["" for _ in lines[:1]]
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    lines += [f"{name} = {_value(value)}" for name, value in plain.items()]
    for group in (name for name in settings if name not in plain):
        lines += ["", f"[{group}]"]
        lines += [f"{name} = {_value(value)}" for name, value in settings[group].items()]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # TOML's basic strings are JSON's, but for one control character more.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Iterable):
        return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"no setting is a {type(value).__name__}")
