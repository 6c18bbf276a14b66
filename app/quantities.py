"""Sizes and durations as people write them: ``5 GiB``, ``30 s``. Types for pydantic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

_SIZES = {"": 1.0, "b": 1, "k": 2**10, "kib": 2**10, "m": 2**20, "mib": 2**20}
_SIZES |= {"g": 2**30, "gib": 2**30, "t": 2**40, "tib": 2**40}
_SIZES |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_DURATIONS = {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)\Z", re.ASCII)


def _quantity(value: object, units: Mapping[str, float], example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"write it like {example}")
    match = _QUANTITY.match(str(value).strip())
    if match is None or match[2].lower() not in units:
        raise ValueError(f"write it like {example}")
    return float(match[1]) * units[match[2].lower()]


def _size(value: object) -> int:
    return round(_quantity(value, _SIZES, "'500 MiB', '5 GiB' or a number of bytes"))


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    return timedelta(seconds=_quantity(value, _DURATIONS, "'30 s', '5 min', '24 h' or seconds"))


def _off(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == "off" else value


Size = Annotated[int, BeforeValidator(_size), Field(ge=1)]
"""A number of bytes."""

Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
"""A stretch of time."""

Wait = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]
"""The same, or none at all: ``0``."""

Interval = Annotated[Duration | None, BeforeValidator(_off)]
"""A stretch of time between two of the same; None, written ``off``: never."""
