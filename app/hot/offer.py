"""What a door says of its answer, so that it can be given again."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from packaging.utils import NormalizedName

from app.access.base import Grants

OFFER = "pypicloud.offer"
"""The key of a request's scope under which its door finds the Offer."""


@dataclass(slots=True)
class Offer:
    """Put into a request's scope by the front room; its door holds it out, or leaves it."""

    since: int
    project: NormalizedName | None = None
    generation: str | None = None
    grants: Grants = field(default_factory=dict)
    personal: bool = False
    known: bool = False
    until: float = inf
    made: bool = False
    download: tuple[str, str] | None = None
    """The project and version that giving the answer is a download of (app.downloads)."""

    def see(self, project: NormalizedName, generation: str | None, grants: Grants) -> None:
        """Which project the answer is about, and what was granted on it."""
        self.project, self.generation, self.grants = project, generation, grants

    def hold(self, *, until: float = inf) -> None:
        """The answer is good for everyone who may read the project that was seen."""
        if self.project is not None:
            self.until, self.made = until, True

    def hold_personal(self, *, known: bool) -> None:
        """The answer is of all projects, and for whoever asked alone; ``known``: by name."""
        self.personal = self.made = True
        self.known = known
