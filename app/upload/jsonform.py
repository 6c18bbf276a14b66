"""Core metadata in its JSON form (PEP 566), for the index to keep beside a file."""

from __future__ import annotations

import json

from app.upload.distribution import CoreFields
from app.upload.metadata import CoreMetadata

CORE_LIMIT = 64 * 2**10
"""Bytes of the fields as JSON. They stand in the journal and the cache, once for each file."""
# PEP 566 keeps the singular of the header; ``packaging`` has the plural of some.
_SINGULAR = {
    "classifiers": "classifier",
    "import_names": "import_name",
    "import_namespaces": "import_namespace",
    "license_files": "license_file",
    "platforms": "platform",
    "supported_platforms": "supported_platform",
}
_KEPT = frozenset({"metadata_version", "name", "version"})


def core_fields(metadata: CoreMetadata) -> CoreFields:
    """All fields but the description; of too much, the largest fields are left out whole."""
    fields: dict[str, str | list[str]] = {}
    for key, found in metadata.raw.items():
        if isinstance(found, dict):
            fields["project_url"] = [f"{label}, {url}" for label, url in found.items()]
        elif isinstance(found, list):
            fields[_SINGULAR.get(key, key)] = list(found)
        else:
            fields[_SINGULAR.get(key, key)] = str(found)
    return _bounded(fields)


def _bounded(fields: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    sizes = {key: _size(key, found) for key, found in fields.items()}
    total = sum(sizes.values())
    for key in sorted(sizes.keys() - _KEPT, key=lambda key: (-sizes[key], key)):
        if total <= CORE_LIMIT:
            break
        total -= sizes[key]
        del fields[key]
    return fields


def _size(key: str, found: str | list[str]) -> int:
    return len(json.dumps({key: found}, ensure_ascii=False).encode())
