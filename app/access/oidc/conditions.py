"""What may stand in a publisher's conditions: checked once, when it is registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from app import errors

if TYPE_CHECKING:
    from app.access.oidc.providers import Provider

Check = Callable[[str], bool]

CONDITIONS = 20
"""Claims that a publisher of kind ``custom`` may ask for."""
_TEXT = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?\Z")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}\Z")
_WORKFLOW = re.compile(r"[A-Za-z0-9_.-]{1,200}\.ya?ml\Z")
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_GITLAB_PROJECT = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})+\Z")
_GITLAB_WORKFLOW = re.compile(r"(?:[A-Za-z0-9_.-]+/)*[A-Za-z0-9_.-]+\.ya?ml\Z")
_EMAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,190}\Z")
_OWN = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti"})


def text(value: str) -> bool:
    """Printable ASCII, at most 256 characters."""
    return _TEXT.match(value) is not None


def flag(value: str) -> bool:
    """As the claims spell it."""
    return value in ("true", "false")


def repository(value: str) -> bool:
    """``owner/name``."""
    return _REPOSITORY.match(value) is not None


def workflow(value: str) -> bool:
    """The file's name, in ``.github/workflows``."""
    return _WORKFLOW.match(value) is not None


def gitlab_project(value: str) -> bool:
    """``group/project``, or deeper."""
    return len(value) <= 255 and _GITLAB_PROJECT.match(value) is not None


def gitlab_workflow(value: str) -> bool:
    """The path of the pipeline's file, such as ``.gitlab-ci.yml``."""
    return len(value) <= 255 and _GITLAB_WORKFLOW.match(value) is not None


def email(value: str) -> bool:
    """An address."""
    return _EMAIL.match(value) is not None


def checked(provider: Provider, given: Mapping[str, str | None]) -> dict[str, str]:
    """The conditions to keep, those without a value left out; errors.Invalid for bad ones."""
    found = {name: value for name, value in given.items() if value is not None and value != ""}
    if provider.name == "custom":
        return _claims(found)
    for name in sorted(found):
        if name not in provider.conditions:
            raise errors.Invalid(f"A publisher at {provider.name} has no condition '{name}'.")
        if not provider.conditions[name](found[name]):
            raise errors.Invalid(f"{name}: This cannot be one of {provider.name}.")
    for name in provider.required:
        if name not in found:
            raise errors.Invalid(f"A publisher at {provider.name} needs '{name}'.")
    return found


def _claims(found: Mapping[str, str]) -> dict[str, str]:
    if not found or len(found) > CONDITIONS:
        raise errors.Invalid(f"Name 1 to {CONDITIONS} claims that the token must have.")
    if "sub" not in found and len(found) < 2:
        raise errors.Invalid("Name the claim 'sub', or at least two others: one is easily met.")
    for name, value in found.items():
        if name in _OWN or not text(name) or not text(value):
            raise errors.Invalid("A claim is printable ASCII, and none of the token's own.")
    return dict(found)
