"""The house keeps its plan: imports go down, rooms do not know each other, names say something."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
MODULES = sorted(APP.rglob("*.py"))
OTHERS = [
    path for name in ("tests", "benchmarks", "examples") for path in (ROOT / name).rglob("*.py")
]
OURS = sorted([*MODULES, *OTHERS])

FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"", "errors", "life", "logs"}),
    frozenset({"names"}),
    frozenset({"models"}),
    frozenset(
        {
            *("abreast", "events", "options", "outbound", "plugins", "quantities", "simple"),
            *("sqlite", "turns", "unbroken", "watched"),
        }
    ),
    frozenset({"metrics", "sql"}),
    frozenset({"aws", "traces"}),
    frozenset({"dynamodb"}),
    frozenset({"access", "cache", "notices", "storage", "upload"}),
    frozenset({"index"}),
    frozenset({"downloads", "hooks", "retention", "upstream"}),
    frozenset({"hot", "pages", "web"}),
    frozenset({"measuring", "values"}),
    frozenset({"operation"}),
    frozenset({"config"}),
    frozenset({"visits"}),
    frozenset({"state"}),
    frozenset({"reports"}),
    frozenset({"dependencies"}),
    frozenset({"answers"}),
    frozenset({"phrasing"}),
    frozenset({"fastpath", "guard", "protocol", "routes"}),
    frozenset({"opening"}),
    frozenset({"reloading"}),
    frozenset({"main"}),
    frozenset({"cli", "testing"}),
)
"""From the ground up; the rooms of one floor do not know each other."""

KNOW_HTTP = frozenset(
    {
        "answers",
        "cli",
        "dependencies",
        "fastpath",
        "guard",
        "main",
        "phrasing",
        "protocol",
        "reports",
        "routes",
        "state",
        "visits",
    }
)
KNOW_SETTINGS = frozenset(
    {"cli", "config", "dependencies", "main", "opening", "reloading", "state"}
)
HTTP = frozenset({"fastapi", "starlette", "uvicorn"})

MODULE_LINES = 300
FUNCTION_LINES = 60
BANNED_MODULES = frozenset({"common", "constants", "core", "helpers", "misc", "util", "utils"})
BANNED_CLASS = re.compile(r"(?:Service|Manager|Helper|Utils?|Handler|Processor)\Z|\ABase[A-Z]")
BANNED_NAMES = frozenset({"data", "info", "item", "obj", "tmp"})
PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")


def room(module: str) -> str:
    """``app.storage.file`` stands in the room ``storage``."""
    return module.partition(".")[2].partition(".")[0]


def dotted(path: Path) -> str:
    """The import name of a module of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """What a module imports, wherever in it; ``from app import x`` is ``app.x``."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = dotted(path).split(".")
            above = [] if node.level == 0 else here[: len(here) - node.level]
            if path.name == "__init__.py" and node.level:
                above = here[: len(here) - node.level + 1]
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def floor(name: str) -> int:
    """How high a room stands."""
    return next(height for height, rooms in enumerate(FLOORS) if name in rooms)


def test_every_room_stands_on_a_floor() -> None:
    """A new room is a decision, and belongs into the plan."""
    rooms = {room(dotted(path)) for path in MODULES}
    assert rooms == frozenset().union(*FLOORS)


def test_imports_go_down_only() -> None:
    """A room knows the floors below it, and of its own floor only itself."""
    climbing = []
    for path in MODULES:
        here = room(dotted(path))
        for imported in imports(path):
            there = room(imported) if imported.split(".")[0] == "app" else here
            known = there if any(there in rooms for rooms in FLOORS) else ""  # app.__version__
            if known != here and floor(known) >= floor(here):
                climbing.append(f"{dotted(path)} imports {imported}")
    assert climbing == []


@pytest.mark.parametrize(
    ("what", "knowing"),
    [(HTTP, KNOW_HTTP), (frozenset({"app.config"}), KNOW_SETTINGS)],
    ids=["HTTP", "settings"],
)
def test_only_some_rooms_know(what: frozenset[str], knowing: frozenset[str]) -> None:
    """HTTP is for the doors, settings are for whoever puts the house together."""
    strangers = [
        f"{dotted(path)} imports {imported}"
        for path in MODULES
        if room(dotted(path)) not in knowing
        for imported in imports(path)
        if any(imported == name or imported.startswith(f"{name}.") for name in what)
    ]
    assert strangers == []


def test_modules_and_functions_stay_small() -> None:
    """What grows beyond the cap wants to be two."""
    grown = []
    for path in MODULES:
        if (lines := len(path.read_text().splitlines())) > MODULE_LINES:
            grown.append(f"{dotted(path)}: {lines} lines")
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION_LINES:
                    grown.append(f"{dotted(path)}.{node.name}: {length} lines")
    assert grown == []


def test_names_say_something() -> None:
    """Drawers, managers and data are not names."""
    banned = [dotted(path) for path in OURS if path.stem in BANNED_MODULES]
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and BANNED_CLASS.search(node.name):
                banned.append(f"{dotted(path)}.{node.name}")
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                banned += [f"{dotted(path)}: {node.id}"] * (node.id in BANNED_NAMES)
    assert banned == []


def test_nothing_is_left_to_do() -> None:
    """No placeholder stands in code or tests."""
    left = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in OURS
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PLACEHOLDER.search(line)
    ]
    assert left == []


def test_every_public_class_and_module_says_what_it_is() -> None:
    """Both have docstrings; methods that keep a contract need none."""
    silent = []
    for path in MODULES:
        tree = parsed(path)
        if path.read_text().strip() and ast.get_docstring(tree) is None:
            silent.append(dotted(path))
        silent += [
            f"{dotted(path)}.{node.name}"
            for node in tree.body
            if isinstance(node, ast.ClassDef)
            and not node.name.startswith("_")
            and ast.get_docstring(node) is None
        ]
    assert silent == []


def test_every_test_says_what_is_true() -> None:
    """The docstring of a test is its claim."""
    silent = [
        f"{dotted(path)}.{node.name}"
        for path in OURS
        if path.name.startswith("test_") or "testing" in path.parts
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []


@pytest.mark.parametrize(
    "sdk",
    [
        "aioboto3",
        "botocore",
        "gcloud",
        "azure",
        "redis",
        "asyncpg",
        "pytest",
        "hypothesis",
        "opentelemetry.sdk",
    ],
)
def test_the_start_needs_no_vendors_library(sdk: str) -> None:
    """Importing the application imports no SDK, and nothing that only tests need."""
    script = f"import app.main, app.cli.main, sys; sys.exit({sdk!r} in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert ran.returncode == 0
