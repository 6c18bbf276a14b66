"""The commands of a page of the manual, run as its reader would: in order, by one shell.

Each fenced block of ``sh`` is run, unless ``<!-- not run: REASON -->`` stands before it. A
block of another language is no command; a block without a language is a mistake.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.e2e.sandbox import CLIENTS, ROOT

SHOWN = frozenset({"text", "toml", "ini", "json", "python", "nginx", "yaml", "http"})
"""Languages of blocks that are read, not run."""
NOT_RUN = re.compile(r"\A<!-- not run: \S.* -->\Z")
SERVES = re.compile(r"(?m)^(?:make run|(?:\w+=\S+ )*pypicloud serve)$")
SECOND = re.compile(r"(?m)^((?:\w+=\S+ )*pypicloud serve) --port 8001$")
ADDRESS, OTHER_ADDRESS = "127.0.0.1:8000", "127.0.0.1:8001"
"""Where the manual's service is, and a second one beside it."""

SESSION = r"""
set -euo pipefail
server=
second=
stop() { [ -z "$server" ] || { kill -TERM "$server" && wait "$server"; server=; } || true; }
leave() { stop; server=$second; stop; }
trap 'status=$?; leave; exit $status' EXIT
activate() { python3 -m venv "$1"; . "$1/bin/activate"; }
await_ready() {
  for _ in $(seq 600); do
    kill -0 "$1" 2>/dev/null || { cat "$LOG"; echo 'the service did not start'; exit 1; }
    "$ASK" "http://$2/health/ready" && return
    sleep 0.1
  done
  cat "$LOG"; echo 'the service is not ready'; exit 1
}
beside() {
  bash -c "$1 --port ${OTHER_ADDRESS#*:}" >>"$LOG" 2>&1 & second=$!
  await_ready "$second" "$OTHER_ADDRESS"
}
begin() {
  stop; rm -rf data
  bash -c "$1" >"$LOG" 2>&1 & server=$!
  await_ready "$server" "$ADDRESS"
  printed=$(sed -n 's/^Admin: user admin, password \(.*\) (shown this once)$/\1/p' "$LOG")
  [ -n "$printed" ] || { echo 'no password was shown'; exit 1; }
  # What a client would ask its user for.
  export TWINE_PASSWORD="$printed" UV_PUBLISH_PASSWORD="$printed"
}
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands; ``line`` is where it begins."""

    line: int
    text: str

    def said(self, words: dict[str, str]) -> str:
        """What the shell is given; ``words`` stand for those that a reader replaces."""
        text = (
            self.text.strip().replace(ADDRESS, "$ADDRESS").replace(OTHER_ADDRESS, "$OTHER_ADDRESS")
        )
        for word, meant in {**words, "PASSWORD": "$printed"}.items():
            text = re.sub(rf"(?<![\w-]){word}(?![\w-])", lambda _, meant=meant: meant, text)  # type: ignore[misc]
        text = SERVES.sub(lambda served: f"begin 'exec env {served[0]}'", text)
        text = SECOND.sub(lambda served: f"beside 'exec env {served[1]}'", text)
        return f'echo "==> line {self.line}, $SECONDS s"\n{text}\n'


def blocks(page: Path) -> list[Block]:
    """What a page has its reader run.

    Raises AssertionError for a block that is neither to be run nor marked.
    """
    found, before = [], None
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            line = (token.map or [0])[0] + 1
            if _runs(token, before, f"{page.name}, line {line}"):
                found.append(Block(line, token.content))
        before = token
    return found


def _runs(token: Token, before: Token | None, where: str) -> bool:
    language = token.info.strip()
    marked = before is not None and before.type == "html_block" and before.content.strip()
    if language == "sh":
        return not (marked and NOT_RUN.match(marked))
    assert language in SHOWN, f"{where}: neither commands (sh) nor known not to be: {language!r}"
    return False


def session(page: Path, before: str, **words: str) -> str:
    """The script of all that a page has its reader run; ``before`` is what was done by then."""
    return f"{SESSION}{before}\n" + "".join(block.said(words) for block in blocks(page))


def commands_named(page: Path) -> set[str]:
    """The words after ``pypicloud`` wherever a page names one of our commands in its text."""
    named: set[str] = set()
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        for child in token.children or ():
            if child.type == "code_inline" and child.content.startswith("pypicloud "):
                named.add(child.content.removeprefix("pypicloud "))
    return named


def tools(folder: Path) -> Path:
    """A folder of programs for the path: Python, the clients, and what asks for a status."""
    folder.mkdir()
    packages = _others(folder / "packages")
    # An environment made with it finds what pypicloud stands on, and not pypicloud.
    _script(
        folder / "python3",
        f'{sys._base_executable} "$@" || exit\n'  # type: ignore[attr-defined]
        '[ "$1 $2" != "-m venv" ] || for site in "$3"/lib/python3*/site-packages; do\n'
        f'  echo {packages} > "$site/others.pth"\ndone',
    )
    _script(
        folder / "ask",
        f'exec {sys.executable} -c "import sys, urllib.request as u\n'
        "try: u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=5)\n"
        'except OSError: sys.exit(1)" "$@"',
    )
    for client in ("twine", "uv"):
        program = CLIENTS / client / "bin" / client
        assert program.exists(), f"{client} is not installed: run `make clients`"
        (folder / client).symlink_to(program)
    return folder


def _others(folder: Path) -> Path:
    """Links to all that is installed beside us, as an index that has everything would give."""
    folder.mkdir()
    ours = Path(sys.executable).parents[1]
    places = [place for one in (ours, CLIENTS / "uv") for place in one.glob("lib/*/site-packages")]
    for place in places:
        for entry in place.iterdir():
            apart = entry.name.startswith(("pip", "_editable", "pypicloud"))
            if not apart and not entry.name.endswith(".pth") and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def checkout(folder: Path) -> Path:
    """What ``make run`` needs of a clone whose environment is made."""
    folder.mkdir(exist_ok=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / ".venv" / "ready").touch()
    return folder
