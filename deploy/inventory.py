"""What PyPICloud stands on, as it is installed here: licences, and a bill of materials.

    python deploy/inventory.py licences     docs/licences.md
    python deploy/inventory.py sbom         CycloneDX 1.6, JSON

Needs nothing but PyPICloud and what it installs; says the same whenever it is asked.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "pypicloud"
NOT_SERVED = frozenset({"testing"})
"""Extras that no service is installed with."""
PAGE = """\
# Licences

What PyPICloud is installed with, all its extras included, and what these need in turn.
This page is made from what they say of themselves, for Python 3.11, by
`.venv/bin/python deploy/inventory.py licences`; a test compares.
The image has the same as a bill of materials in `/opt/pypicloud/sbom.cdx.json`, and a release has
one beside its wheel.

PyPICloud's own licence is MIT.

| distribution | licence |
| --- | --- |
"""


@dataclass
class Part:
    """A distribution, and the names of those that it needs."""

    found: Distribution
    needs: set[str] = field(default_factory=set)

    @property
    def licence(self) -> str:
        """As it says itself: an expression, else its words; empty where it says nothing."""
        said = self.found.metadata
        if expression := said.get("License-Expression"):
            return str(expression)
        classifiers = (one.split(" :: ") for one in said.get_all("Classifier") or ())
        named = [one[-1] for one in classifiers if one[0] == "License" and len(one) > 2]
        text = (said.get("License") or "").strip()
        short = text if len(text) <= 60 and "\n" not in text and text != "UNKNOWN" else ""
        return "; ".join(named) or short or self._titled()

    def _titled(self) -> str:
        """The title of the licence that is in the distribution."""
        for name in self.found.metadata.get_all("License-File") or ():
            text = self.found.read_text(f"licenses/{name}") or self.found.read_text(name) or ""
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines and "license" in lines[0].lower():
                return " ".join(lines[:2] if lines[1][:7] == "Version" else lines[:1])
        return ""


def parts() -> dict[str, Part]:
    """All that is installed with us, by name; ourselves first.

    Ends the process where something that is needed is not there.
    """
    root = distribution(OURS)
    extras = set(root.metadata.get_all("Provides-Extra") or ()) - NOT_SERVED
    found, todo = {OURS: Part(root)}, [(OURS, frozenset(extras))]
    seen = set(todo)
    while todo:
        name, wanted = todo.pop()
        for line in found[name].found.requires or ():
            need = Requirement(line)
            if not _applies(need, wanted):
                continue
            key = canonicalize_name(need.name)
            found[name].needs.add(key)
            if key not in found:
                found[key] = Part(_installed(need.name, name))
            step = (key, frozenset(need.extras))
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return found


def _applies(need: Requirement, extras: Iterable[str]) -> bool:
    marker = need.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _installed(name: str, needed_by: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        sys.exit(f"{name}, which {needed_by} needs, is not installed")


def licences() -> str:
    """The page of the manual. Ends the process where one says nothing of its licence."""
    found = {name: part for name, part in sorted(parts().items()) if name != OURS}
    if silent := [name for name, part in found.items() if not part.licence]:
        sys.exit(f"no licence is said by: {', '.join(silent)}")
    lines = [f"| {name} | {part.licence} |" for name, part in found.items()]
    return PAGE + "\n".join(lines) + "\n"


def sbom() -> str:
    """The bill of materials."""
    found = parts()
    made = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**_component(OURS, found[OURS]), "type": "application"}},
        "components": [_component(name, found[name]) for name in sorted(found) if name != OURS],
        "dependencies": [
            {"ref": _purl(name, part), "dependsOn": sorted(_purl(n, found[n]) for n in part.needs)}
            for name, part in sorted(found.items())
        ],
    }
    return json.dumps(made, indent=2) + "\n"


def _component(name: str, part: Part) -> dict[str, Any]:
    purl = _purl(name, part)
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": part.found.version,
        "purl": purl,
    }
    if said := part.found.metadata.get("License-Expression"):
        made["licenses"] = [{"expression": said}]
    elif part.licence:
        made["licenses"] = [{"license": {"name": part.licence}}]
    return made


def _purl(name: str, part: Part) -> str:
    version = re.sub(r"\+", "%2B", part.found.version)
    return f"pkg:pypi/{name}@{version}"


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description="What PyPICloud stands on.")
    parser.add_argument("what", choices=("licences", "sbom"))
    made = {"licences": licences, "sbom": sbom}[parser.parse_args().what]()
    sys.stdout.write(made)


if __name__ == "__main__":
    main()
