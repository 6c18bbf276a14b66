"""What strict asks of the fields of core metadata: one check each (standards: core metadata).

In import none of this is asked, since old files break most of it; nothing here is needed
to keep the index safe.
"""

from __future__ import annotations

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.metadata import InvalidMetadata, Metadata, RawMetadata
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from trove_classifiers import all_classifiers

from app import errors, names
from app.upload.quoting import quoted

_SUMMARY_LENGTH = 512
_LABEL_LENGTH = 32
_SPECIFIER_LENGTH = 1_024
_REQUIREMENT_LENGTH = 16 * 2**10
_REQUIREMENTS_LENGTH = 512 * 2**10
# ``packaging`` recurses once for each parenthesis, and slows down with each clause.
_DEPTH = 32
_LICENSE_LENGTH = 1_024
# Python refuses to read the integers of longer ones, with an error of its own.
_LONG_NUMBER = re.compile(r"[0-9]{65}")
# One character on each side: more would take quadratic time to say no.
_ADDRESS = re.compile(r"[^\s@<>,;]@[^\s@<>,;]")
# Its parser of headers recurses on comments; nobody comments a content type.
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9/;=\"' .+_-]{1,256}\Z")
_CLASSIFIERS = frozenset(all_classifiers)


def check_rules(raw: RawMetadata) -> None:
    """Every rule in turn. Raises errors.InvalidUpload, which begins with the field's name."""
    for check in (
        check_summary,
        check_description_content_type,
        check_requires_python,
        check_requires_dist,
        check_provides_extra,
        check_dynamic,
        check_license,
        check_license_file_paths,
        check_classifiers,
        check_project_urls,
        check_emails,
        check_import_names,
    ):
        check(raw)


def check_summary(raw: RawMetadata) -> None:
    """One line of at most 512 characters."""
    summary = raw.get("summary", "")
    if "\n" in summary:
        raise errors.InvalidUpload("Summary: Use one line only.")
    if len(summary) > _SUMMARY_LENGTH:
        raise errors.InvalidUpload(f"Summary: Use at most {_SUMMARY_LENGTH} characters.")


def check_description_content_type(raw: RawMetadata) -> None:
    """A markup that can be shown; the description itself is never rendered here (CNT-10)."""
    content_type = raw.get("description_content_type", "")
    if content_type and not (
        _CONTENT_TYPE.match(content_type)
        and _is_valid({"description_content_type": content_type}, "description_content_type")
    ):
        raise errors.InvalidUpload(
            f"Description-Content-Type: {quoted(content_type)} is none of text/plain, text/x-rst "
            "and text/markdown (variant GFM or CommonMark), in UTF-8."
        )


def check_requires_python(raw: RawMetadata) -> None:
    """A specifier that installers can read: they ignore a file, or worse, with another."""
    requires_python = raw.get("requires_python", "")
    if not is_specifier(requires_python):
        raise errors.InvalidUpload(
            f"Requires-Python: {quoted(requires_python)} is not a version specifier (PEP 440)."
        )


def is_specifier(text: str) -> bool:
    """Whether this is a PEP 440 version specifier of reasonable length."""
    if len(text) > _SPECIFIER_LENGTH or not text.isascii() or _LONG_NUMBER.search(text):
        return False
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def check_requires_dist(raw: RawMetadata) -> None:
    """Requirements that can be parsed, in time (PEP 508). Direct URLs are fine (CNT-12)."""
    requirements = raw.get("requires_dist", [])
    if sum(map(len, requirements)) > _REQUIREMENTS_LENGTH:
        raise errors.InvalidUpload(
            f"Requires-Dist: Use at most {_REQUIREMENTS_LENGTH:,} characters for all of them."
        )
    for text in requirements:
        if len(text) > _REQUIREMENT_LENGTH or text.count("(") > _DEPTH or _LONG_NUMBER.search(text):
            raise errors.InvalidUpload(
                f"Requires-Dist: {quoted(text)} is too long or too deeply nested."
            )
        try:
            Requirement(text)
        except ValueError as error:
            raise errors.InvalidUpload(
                f"Requires-Dist: {quoted(text)} is not a requirement (PEP 508)."
            ) from error


def check_provides_extra(raw: RawMetadata) -> None:
    """Extras are named as projects are (PEP 685)."""
    for extra in raw.get("provides_extra", []):
        try:
            names.normalize(extra)
        except errors.InvalidName as error:
            raise errors.InvalidUpload(
                f"Provides-Extra: {quoted(extra)} is not a valid name."
            ) from error


def check_dynamic(raw: RawMetadata) -> None:
    """Names of fields, but never Name, Version or Metadata-Version (PEP 643)."""
    for field in raw.get("dynamic", []):
        if not _is_valid({"dynamic": [field]}, "dynamic"):
            raise errors.InvalidUpload(f"Dynamic: {quoted(field)} is no field that may change.")


def check_license(raw: RawMetadata) -> None:
    """An SPDX expression, which then stands instead of License (PEP 639, CNT-8)."""
    expression = raw.get("license_expression", "")
    if not expression:
        return
    if "license" in raw:
        raise errors.InvalidUpload("License: Use License-Expression or License, not both.")
    try:
        if len(expression) > _LICENSE_LENGTH or expression.count("(") > _DEPTH:
            raise InvalidLicenseExpression
        canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        raise errors.InvalidUpload(
            f"License-Expression: {quoted(expression)} is not an SPDX license expression."
        ) from error


def check_license_file_paths(raw: RawMetadata) -> None:
    """Relative paths with ``/``, nothing above, no pattern; below 2.4 any (PEP 639, CNT-7)."""
    if raw.get("metadata_version", "") < "2.4":
        return
    for path in raw.get("license_files", []):
        if not _is_valid({"license_files": [path]}, "license_files"):
            raise errors.InvalidUpload(f"License-File: {quoted(path)} is not a relative path.")


def check_classifiers(raw: RawMetadata) -> None:
    """Known ones, also those given up meanwhile, and anything ``Private ::`` (CNT-11)."""
    for classifier in raw.get("classifiers", []):
        if classifier not in _CLASSIFIERS and not classifier.startswith("Private ::"):
            raise errors.InvalidUpload(f"Classifier: {quoted(classifier)} is not known.")


def check_project_urls(raw: RawMetadata) -> None:
    """Each has a label of 1 to 32 characters (PEP 753) and a URL."""
    for label, url in raw.get("project_urls", {}).items():
        if not label or len(label) > _LABEL_LENGTH:
            raise errors.InvalidUpload(
                f"Project-URL: {quoted(label)} is not a label of 1 to {_LABEL_LENGTH} characters."
            )
        if not url:
            raise errors.InvalidUpload(f"Project-URL: {quoted(label)} has no URL.")


def check_emails(raw: RawMetadata) -> None:
    """Where addresses belong there is at least one; real ones are written in many ways."""
    for field, text in (
        ("Author-Email", raw.get("author_email", "")),
        ("Maintainer-Email", raw.get("maintainer_email", "")),
    ):
        if text and not _ADDRESS.search(text):
            raise errors.InvalidUpload(f"{field}: {quoted(text)} has no e-mail address.")


def check_import_names(raw: RawMetadata) -> None:
    """Import names are dotted identifiers, with ``; private`` at most (PEP 794)."""
    for field, entries in (
        ("Import-Name", raw.get("import_names", [])),
        ("Import-Namespace", raw.get("import_namespaces", [])),
    ):
        for entry in entries:
            if not _is_valid({"import_names": [entry]}, "import_names"):
                raise errors.InvalidUpload(f"{field}: {quoted(entry)} is not an import name.")


def _is_valid(raw: RawMetadata, attribute: str) -> bool:
    """Whether ``packaging`` takes the value of one field."""
    try:
        getattr(Metadata.from_raw(raw, validate=False), attribute)
    except InvalidMetadata:
        return False
    return True
