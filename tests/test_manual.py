"""The manual: every page is in it, and every link of it leads somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_manual_builds_strictly(tmp_path: Path) -> None:
    """No page is left out, no link or anchor leads nowhere, nothing is fetched from elsewhere."""
    site = tmp_path / "site"
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    for page in (docs := ROOT / "docs").rglob("*.md"):
        place = page.relative_to(docs).with_suffix("")
        made = site / ("index.html" if place.name == "index" else f"{place}/index.html")
        text = made.read_text()
        for fetched in ('src="http', 'rel="stylesheet" href="http', "fonts.googleapis"):
            assert fetched not in text, page
