"""How much memory a large upload takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_upl_10_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Receiving 300 MiB takes no more than a few MiB of memory, and leaves no file."""
    command = [sys.executable, "-m", "tests.upload.receiving", str(tmp_path), "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 24 * 1024
    assert list(tmp_path.iterdir()) == []
