"""A chart of ``peers`` for the documentation: ``python -m benchmarks.chart FOLDER FILE.svg``.

FOLDER is where ``make bench`` keeps the figures of its last run.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

LEFT, RIGHT, WIDTH = 210, 110, 820
BAR, GAP, HEAD = 16, 6, 46
OURS = "PyPICloud"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.n{fill:#57606a}"
    ".b{fill:#8c959f}.o{fill:#0969da}.s{fill:#bf8700}rect.p{fill:#fff}line{stroke:#d0d7de}"
)


@dataclass(frozen=True, slots=True)
class Group:
    """One block of bars: what begins the figures' names, their unit, how they are shown."""

    title: str
    prefix: str
    unit: str
    scale: float = 1.0


GROUPS = (
    Group("JSON project page of 200 files, pages a second", "JSON page, ", "/s"),
    Group("the same, processor for each, in microseconds", "JSON page, ", "CPU s per 1,000", 1000),
    Group("HTML project page of 200 files, pages a second", "HTML page, ", "/s"),
    Group("256 tiny wheels over 8 connections, files a second", "uploads, ", "files/s"),
)


def main() -> None:
    """Draw it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("file", type=Path)
    chosen = arguments.parse_args()
    figures = json.loads((chosen.folder / "peers.json").read_text())["figures"]
    blocks = [(group, dict(_of(group, figures))) for group in GROUPS]
    chosen.file.write_text(draw(blocks))


def _of(group: Group, figures: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, float]]:
    for figure in figures:
        name = str(figure["name"])
        if name.startswith(group.prefix) and figure["unit"] == group.unit:
            yield name.removeprefix(group.prefix), float(str(figure["value"])) * group.scale


def draw(blocks: Sequence[tuple[Group, Mapping[str, float]]]) -> str:
    """The blocks below one another, each on a logarithmic scale of its own."""
    parts: list[str] = []
    top = 12
    for group, values in blocks:
        parts.append(f'<text class="t" x="12" y="{top + 18}">{escape(group.title)}</text>')
        top += HEAD - BAR
        low = math.log10(min(values.values())) - 0.3
        high = math.log10(max(values.values()))
        for name, value in values.items():
            share = (math.log10(value) - low) / (high - low)
            width = max(2.0, share * (WIDTH - LEFT - RIGHT))
            kind = "o" if name == OURS else "s" if name == "nginx" else "b"
            middle = top + BAR - 4
            parts += [
                f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
                f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}"/>',
                f'<text class="n" x="{LEFT + width + 6:.1f}" y="{middle}">{_short(value)}</text>',
            ]
            top += BAR + GAP
        top += GAP
    parts.append(f'<text class="n" x="12" y="{top + 10}">Scales are logarithmic.</text>')
    height = top + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>PyPICloud beside nginx and other indexes</title><style>{STYLE}</style>"
        f'<rect class="p" width="{WIDTH}" height="{height}"/>{"".join(parts)}</svg>\n'
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
