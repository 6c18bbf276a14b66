"""``pypicloud``, with each SQL statement's first words and tables noted in a file.

``python -m benchmarks.counted serve``; the variable STATEMENTS names the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from app.cache.schema import PREFIX
from app.cli.main import main


def count() -> None:
    """Note every statement of every engine, one line each."""
    notes = Path(os.environ["STATEMENTS"]).open("a", buffering=1)  # noqa: SIM115  # until the end

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        room = "cache" if PREFIX in statement else "access"
        notes.write(f"{room} {' '.join(statement.split())}\n")

    event.listen(Engine, "before_cursor_execute", note)


if __name__ == "__main__":
    count()
    main()
