"""Who may do what, as a table."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access import policy
from app.access.base import Grants
from app.access.policy import Defaults
from app.access.principals import principals
from app.models import Actor, Identity, Permission, ProjectSummary

READ, UPLOAD, MANAGE, FETCH = Permission
FLASK = NormalizedName("flask")


def known(name: str, *groups: str, admin: bool = False) -> Identity:
    """Somebody who proved who they are."""
    own = {"authenticated", f"user:{name}", *(f"group:{group}" for group in groups)}
    return Identity(actor=Actor(kind="user", id=name), principals=frozenset(own), admin=admin)


ANON, ALICE, BOB, ROOT = None, known("alice"), known("bob", "dev"), known("root", admin=True)
DEFAULT = Defaults()
OPEN = Defaults(read=frozenset({"everyone"}), upload=frozenset({"user:alice", "group:dev"}))
CLOSED = Defaults(read=frozenset())
GRANTED: Grants = {
    "user:alice": frozenset({READ, MANAGE}),
    "group:dev": frozenset({UPLOAD}),
}
PUBLIC: Grants = {"everyone": frozenset({READ, UPLOAD, MANAGE})}
KNOWN: Grants = {"authenticated": frozenset({READ, FETCH})}

TABLE: list[tuple[Identity | None, Grants, Defaults, set[Permission]]] = [
    (ANON, {}, DEFAULT, set()),
    (ALICE, {}, DEFAULT, {READ}),
    (ROOT, {}, DEFAULT, {READ, UPLOAD, MANAGE, FETCH}),
    (ANON, {}, OPEN, {READ}),
    (ALICE, {}, OPEN, {READ, UPLOAD}),
    (BOB, {}, OPEN, {READ, UPLOAD}),
    (known("carol"), {}, OPEN, {READ}),
    (ALICE, {}, CLOSED, set()),
    (ROOT, {}, CLOSED, {READ, UPLOAD, MANAGE, FETCH}),
    # Grants replace the defaults entirely, and upload does not imply read.
    (ANON, GRANTED, OPEN, set()),
    (ALICE, GRANTED, OPEN, {READ, MANAGE}),
    (BOB, GRANTED, OPEN, {UPLOAD}),
    (known("carol"), GRANTED, OPEN, set()),
    (known("alice", "dev"), GRANTED, CLOSED, {READ, UPLOAD, MANAGE}),
    (ROOT, GRANTED, CLOSED, {READ, UPLOAD, MANAGE, FETCH}),
    # The anonymous never manage, whatever was granted.
    (ANON, PUBLIC, CLOSED, {READ, UPLOAD}),
    (ALICE, PUBLIC, CLOSED, {READ, UPLOAD, MANAGE}),
    (ANON, KNOWN, OPEN, set()),
    (ALICE, KNOWN, CLOSED, {READ, FETCH}),
    # A grant of nothing is a grant: it shuts the project.
    (ALICE, {"user:bob": frozenset()}, OPEN, set()),
]


@pytest.mark.parametrize(("identity", "grants", "defaults", "allowed"), TABLE)
def test_the_table(
    identity: Identity | None, grants: Grants, defaults: Defaults, allowed: set[Permission]
) -> None:
    """Each row: somebody, grants, defaults, and exactly the permissions that follow."""
    found = {p for p in Permission if policy.allows(identity, p, grants, defaults)}
    assert found == allowed


@pytest.mark.parametrize("permission", Permission)
def test_aut_3_the_anonymous_without_right_are_unauthenticated(permission: Permission) -> None:
    """Whoever has not said who they are is asked to."""
    with pytest.raises(errors.Unauthenticated):
        policy.decide(ANON, permission, FLASK, {}, DEFAULT)


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        (READ, "The user 'alice' isn't allowed to read project 'flask'."),
        (UPLOAD, "The user 'alice' isn't allowed to upload to project 'flask'."),
        (MANAGE, "The user 'alice' isn't allowed to manage project 'flask'."),
        (FETCH, "The user 'alice' isn't allowed to fetch files of project 'flask' from elsewhere."),
    ],
)
def test_aut_4_the_known_without_right_are_forbidden(permission: Permission, text: str) -> None:
    """Somebody known is told what they may not do."""
    with pytest.raises(errors.Forbidden) as caught:
        policy.decide(ALICE, permission, FLASK, {}, CLOSED)
    assert str(caught.value) == text


def test_whoever_is_allowed_passes() -> None:
    """decide returns where there is the right."""
    policy.decide(ALICE, READ, FLASK, {}, DEFAULT)
    policy.decide(ANON, READ, FLASK, {}, OPEN)


def summary(name: str) -> ProjectSummary:
    """One line of the list."""
    return ProjectSummary(
        name=NormalizedName(name),
        display_name=name,
        version="1",
        summary="",
        updated=datetime(2026, 1, 1, tzinfo=UTC),
        serial=1,
        generation="01JD0000000000000000000001",
    )


@pytest.mark.parametrize(
    ("identity", "defaults", "names"),
    [
        (ANON, DEFAULT, "d"),
        (ANON, OPEN, "a d"),
        (ALICE, DEFAULT, "a b d"),
        (ALICE, CLOSED, "b d"),
        (BOB, DEFAULT, "a c d"),
        (ROOT, CLOSED, "a b c d"),
    ],
)
def test_a_list_holds_what_may_be_read(
    identity: Identity | None, defaults: Defaults, names: str
) -> None:
    """A list of projects keeps its order and loses what may not be read."""
    projects = [summary(name) for name in "abcd"]
    grants: dict[NormalizedName, Grants] = {
        NormalizedName("b"): {"user:alice": frozenset({READ}), "user:bob": frozenset({UPLOAD})},
        NormalizedName("c"): {"group:dev": frozenset({READ})},
        NormalizedName("d"): {"everyone": frozenset({READ})},
        NormalizedName("gone"): {"everyone": frozenset({READ})},
    }
    found = policy.readable(identity, projects, grants, defaults)
    assert [project.name for project in found] == names.split()


def test_principals_have_one_spelling() -> None:
    """Names in principals are known in lower case, as users are."""
    assert principals(["everyone", "user:Alice", "group:Dev+Ops"]) == {
        "everyone",
        "user:alice",
        "group:dev+ops",
    }
    assert Defaults(upload=frozenset({"user:Alice"})).upload == {"user:alice"}


@pytest.mark.parametrize("wrong", ["", "alice", "Everyone", "user:", "user:a b", "group:é", "x:y"])
def test_what_is_no_principal_is_refused(wrong: str) -> None:
    """A default for nobody in particular is a mistake, not a silent nothing."""
    with pytest.raises(errors.InvalidName):
        Defaults(read=frozenset({wrong}))
