"""Say what pip-audit found: ``python deploy/audited.py REPORT``.

Ends with 0, or with 1 where a pinned distribution has a known hole or was not looked at.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(report: str) -> int:
    """Print what was found in a report (pip-audit's JSON); returns the exit status."""
    entries = json.loads(Path(report).read_text())["dependencies"]
    bad = 0
    for one in entries:
        if reason := one.get("skip_reason"):
            print(f"NOT LOOKED AT: {one['name']}: {reason}")
            bad += 1
        for hole in one.get("vulns", ()):
            fixed = ", ".join(hole["fix_versions"]) or "no version yet"
            print(f"{one['name']} {one['version']}: {hole['id']}, fixed in {fixed}")
            bad += 1
    print(f"{len(entries)} distributions looked at, {bad or 'nothing'} found.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
