"""What a benchmark says in the end: a small table, or JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "BENCHMARKS_FOLDER"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``goal`` is what it should be, where somebody said so."""

    name: str
    value: float
    unit: str
    goal: str = ""


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments of a benchmark, with ``--json`` already there."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="print one JSON object")
    return made


def show(title: str, figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print the figures; where FOLDER names one, they are kept there as JSON as well."""
    told = json.dumps({"benchmark": title, "figures": [asdict(figure) for figure in figures]})
    if folder := os.environ.get(FOLDER):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{title}.json").write_text(f"{told}\n")
    if as_json:
        print(told)
        return
    width = max(len(figure.name) for figure in figures)
    print(title)
    for figure in figures:
        goal = f"   goal: {figure.goal}" if figure.goal else ""
        print(f"  {figure.name:<{width}}  {_readable(figure.value):>10} {figure.unit}{goal}")


def say(text: str) -> None:
    """Tell whoever waits what goes on, beside the figures."""
    print(f"… {text}", file=sys.stderr, flush=True)


def _readable(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
