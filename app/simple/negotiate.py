"""Which representation of a page a client gets (PEP 691; RFC 9110, section 12.5). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")


class Format(StrEnum):
    """The media types of a page; the value is what ``Content-Type`` names."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML = "application/vnd.pypi.simple.v1+html"
    TEXT = "text/html"


class Coding(StrEnum):
    """The content codings of a page."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


_NAMED: dict[str, Format] = {
    **{format.value: format for format in Format},
    "application/vnd.pypi.simple.latest+json": Format.JSON,
    "application/vnd.pypi.simple.latest+html": Format.HTML,
}
# What wins where a client likes several equally. One that takes anything gets HTML: browsers,
# and hatch, which looks for anchors in what it asked for with */*.
_PREFERRED = (Format.JSON, Format.HTML, Format.TEXT)
_PREFERRED_OF_ALL = (Format.TEXT, Format.JSON, Format.HTML)


def representation(accept: str | None, wanted: str | None = None) -> Format | None:
    """The format for an ``Accept`` header, or for ``?format=``, which beats it; None: not any.

    ``accept`` is None (or blank) where there is no such header; several are to be joined
    by commas. ``wanted`` is the decoded value of the query: a blank in it was a raw ``+``.
    """
    if wanted is not None:
        return _NAMED.get(wanted.replace(" ", "+").lower())
    if accept is None or not accept.strip():
        return Format.TEXT
    weights = _weights(accept)
    ranked = [(*_liking(format, weights), format) for format in Format]
    _, _, _, best = max(ranked)
    return best if _liking(best, weights)[0] > 0 else None


def preferred(accept: str | None, types: Sequence[str]) -> str | None:
    """Of ``types``, ours first, what an ``Accept`` header (None: none) likes best; None: none."""
    if accept is None or not accept.strip():
        return types[0]
    weights = _weights(accept)

    def weight(type: str) -> float:
        family = f"{type.partition('/')[0]}/*"
        return next((weights[name] for name in (type, family, "*/*") if name in weights), 0.0)

    best = max(types, key=weight)
    return best if weight(best) > 0 else None


def coding(accept_encoding: str | None) -> Coding:
    """zstd or gzip where the client takes it at least as gladly as the plain bytes, else these.

    zstd has to be named: who takes anything may not mean what is newer than itself.
    """
    weights = _weights(accept_encoding or "")
    anything = weights.get("*", 0.0)
    gzip = max(weights.get("gzip", anything), weights.get("x-gzip", 0.0))
    zstd = weights.get("zstd", 0.0)
    best = max(gzip, zstd)
    if best <= 0 or best < weights.get("identity", 0.0):
        return Coding.IDENTITY
    return Coding.ZSTD if zstd == best else Coding.GZIP


def _liking(format: Format, weights: dict[str, float]) -> tuple[float, int, int]:
    """Weight, then how exactly the client named it, then what we prefer; greatest wins."""
    exact = [weights[name] for name, named in _NAMED.items() if named is format and name in weights]
    if exact:
        return max(exact), 2, -_PREFERRED.index(format)
    family = f"{format.partition('/')[0]}/*"
    if family in weights:
        return weights[family], 1, -_PREFERRED.index(format)
    return weights.get("*/*", 0.0), 0, -_PREFERRED_OF_ALL.index(format)


def _weights(header: str) -> dict[str, float]:
    """Each range or coding of the header, in lower case, with its weight; the greater of two."""
    weights: dict[str, float] = {}
    for name, weight in _elements(header):
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _elements(header: str) -> Iterator[tuple[str, float]]:
    """The elements with a readable weight; parameters other than ``q`` are not looked at."""
    for element in header.split(","):
        name, *parameters = (part.strip().lower() for part in element.split(";"))
        given = [part[2:] for part in parameters if part.startswith("q=")]
        weight = given[0] if given else "1"
        if name and _WEIGHT.match(weight):
            yield name, float(weight)
