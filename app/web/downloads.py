"""How a project's page tells of its downloads: a chart of days, and who has what. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.downloads import RECENT, Figures

LISTED = 10
"""Versions, tools or Pythons that are named; the others are one number."""
WIDTH, HEIGHT = 900, 120
"""Of the chart, in units of its own."""
_VAGUE = frozenset({"", "other"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DayView:
    """How much was downloaded on a day."""

    day: date
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of a version, or by a tool."""

    name: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The greatest of them, and how much the others are together."""

    listed: Sequence[Share]
    others: int

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Shares:
        """Those of counts, which are in order."""
        named = [(name, count) for name, count in counts.items() if name not in _VAGUE]
        listed = [Share(name=name, count=count) for name, count in named[:LISTED]]
        return cls(listed=listed, others=sum(counts.values()) - sum(one.count for one in listed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A day in the chart."""

    x: float
    y: float
    width: float
    height: float
    day: date
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadsView:
    """The downloads of a project; versions, tools and Pythons are of the ``recent`` ones."""

    total: int
    recent: int
    recent_days: int
    days: Sequence[DayView]
    versions: Shares
    installers: Shares
    pythons: Shares

    @classmethod
    def of(cls, figures: Figures) -> DownloadsView:
        """The view of figures that were asked for within the recent days."""
        return cls(
            total=figures.total,
            recent=sum(count for _, count in figures.days[-RECENT:]),
            recent_days=RECENT,
            days=[DayView(day=day, count=count) for day, count in figures.days],
            versions=Shares.of(figures.versions),
            installers=Shares.of(figures.installers),
            pythons=Shares.of(figures.pythons),
        )

    @property
    def most(self) -> int:
        """The most on one day."""
        return max((one.count for one in self.days), default=0)

    @property
    def bars(self) -> Sequence[Bar]:
        """The days of the chart on which anything was downloaded."""
        step = WIDTH / max(1, len(self.days))
        bars = []
        for place, one in enumerate(self.days):
            if one.count:
                height = max(1.5, round(one.count / self.most * HEIGHT, 1))
                x, y = round(place * step + step * 0.1, 1), round(HEIGHT - height, 1)
                width = round(step * 0.8, 1)
                bars.append(Bar(x=x, y=y, width=width, height=height, day=one.day, count=one.count))
        return bars
