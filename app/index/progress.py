"""How far a reindex has come, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["idle", "running", "done", "failed", "interrupted", "stopped"]
"""``interrupted``: its process was told to end, others go on. ``stopped``: by a person."""


@dataclass(slots=True)
class Progress:
    """A run, as every replica sees it; ``reason`` says why it failed.

    ``building`` tells the build of a new cache from the comparison of one that is complete;
    ``empty``: the new one held nothing.
    ``cursor`` is the name of the last project that the cache has in the state that was read.
    ``by`` asked for it (``kind:id``), ``holder`` does it (``host:pid``).
    """

    running: bool = True
    projects: int = 0
    files: int = 0
    repaired: int = 0
    dropped: int = 0
    broken: int = 0
    run: str = ""
    state: State = "running"
    building: bool = False
    empty: bool = False
    cursor: str = ""
    by: str = ""
    holder: str = ""
    since: datetime | None = None
    updated: datetime | None = None
    reason: str = ""


Report = Callable[[Progress], None]

IDLE = Progress(running=False, state="idle")
"""There is no run. Never changed."""
