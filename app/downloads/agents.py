"""Who downloads, by what they say in ``User-Agent``: the tool, and its Python. Pure."""

from __future__ import annotations

import re

import msgspec

Agent = tuple[str, str]
"""The installer, and its Python as ``3.12``, empty where that is not known."""

OTHER: Agent = ("other", "")
LONGEST = 1024
"""Bytes that are looked at; pip says a few hundred."""
REMEMBERED = 4096

_TOOLS = {
    "pip": "pip",
    "uv": "uv",
    "poetry": "poetry",
    "pdm": "pdm",
    "pipenv": "pipenv",
    "hatch": "hatch",
    "twine": "twine",
    "bandersnatch": "bandersnatch",
    "devpi-server": "devpi",
    "artifactory": "artifactory",
    "nexus": "nexus",
    "python-requests": "requests",
    "python-httpx": "httpx",
    "python-urllib": "urllib",
    "curl": "curl",
    "wget": "wget",
    "mozilla": "browser",
}
"""By the product that comes first, in lower case. There are few: each may make a row a version."""
_PRODUCT = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,31})/[^ ]*(?: +(\{.*))?", re.DOTALL)
_RUNTIME = re.compile(r"\b(?:CPython|PyPy|GraalPy|Python)[/ ]([23]\.[0-9]{1,2})\b", re.IGNORECASE)
_VERSION = re.compile(r"[23]\.[0-9]{1,2}(?![0-9])")


class _Said(msgspec.Struct):
    python: str = ""


_said = msgspec.json.Decoder(_Said)


def agent(sent: bytes) -> Agent:
    """Who that is; OTHER for whatever cannot be told. It raises nothing."""
    text = sent[:LONGEST].decode("latin-1")
    product = _PRODUCT.match(text)
    tool = _TOOLS.get(product[1].lower()) if product else None
    if product is None or tool is None:
        return OTHER
    if tool == "browser":
        return tool, ""
    if product[2] is None:
        runtime = _RUNTIME.search(text)
        return tool, runtime[1] if runtime else ""
    try:
        said = _said.decode(product[2].encode("latin-1"))
    except (msgspec.MsgspecError, UnicodeDecodeError):  # cut, or nothing that pip or uv would say
        return tool, ""
    version = _VERSION.match(said.python)
    return tool, version[0] if version else ""


class Agents:
    """The same, remembered: tools say the same thing again and again."""

    def __init__(self) -> None:
        self._known: dict[bytes, Agent] = {}
        self.get = self._known.get
        """What is remembered of these bytes, or None."""

    def learn(self, sent: bytes) -> Agent:
        """Who that is, from now on remembered unless it is too long to be."""
        found = agent(sent)
        if len(sent) <= LONGEST:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[sent] = found
        return found
