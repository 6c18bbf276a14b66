"""What a client sent, as an error may show it: one short ASCII line, without URLs."""

from __future__ import annotations

_SHOWN = 80


def quoted(text: str) -> str:
    """The text in quotes, escaped and shortened; of a URL only the scheme (it may hold secrets)."""
    shown, separator, _ = text.partition("://")
    shown = ascii(shown)[1:-1]
    if separator:
        shown += "://..."
    return f"'{shown}'" if len(shown) <= _SHOWN else f"'{shown[:_SHOWN]}...'"
