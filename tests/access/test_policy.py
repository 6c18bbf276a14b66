"""Who may do what, as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.utils import NormalizedName

from app import errors
from app.access import policy
from app.access.base import UNBOUND, Grants
from app.access.policy import Defaults
from app.access.principals import principals
from app.models import Actor, Identity, Permission, ProjectSummary, Scope
from app.names import normalize

READ, UPLOAD, MANAGE, FETCH = Permission
FLASK = NormalizedName("flask")


def known(name: str, *groups: str, admin: bool = False) -> Identity:
    """Somebody who proved who they are."""
    own = {"authenticated", f"user:{name}", *(f"group:{group}" for group in groups)}
    return Identity(actor=Actor(kind="user", id=name), principals=frozenset(own), admin=admin)


ANYBODY = Identity(actor=Actor(kind="publisher", id="p"), principals=frozenset())
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
    found = {p for p in Permission if policy.allows(identity, p, FLASK, "g1", grants, defaults)}
    assert found == allowed


@pytest.mark.parametrize("permission", Permission)
def test_aut_3_the_anonymous_without_right_are_unauthenticated(permission: Permission) -> None:
    """Whoever has not said who they are is asked to."""
    with pytest.raises(errors.Unauthenticated):
        policy.decide(ANON, permission, FLASK, "g1", {}, DEFAULT)


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
        policy.decide(ALICE, permission, FLASK, "g1", {}, CLOSED)
    assert str(caught.value) == text


def test_whoever_is_allowed_passes() -> None:
    """decide returns where there is the right."""
    policy.decide(ALICE, READ, FLASK, "g1", {}, DEFAULT)
    policy.decide(ANON, READ, FLASK, "g1", {}, OPEN)


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


ADDED = Defaults(read=frozenset({"authenticated"}), upload=frozenset({"group:dev"}), add=True)
BESIDE: list[tuple[Identity | None, Grants, set[Permission]]] = [
    (ANON, {}, set()),
    (ANON, GRANTED, set()),
    (ANON, {"everyone": frozenset({UPLOAD})}, {UPLOAD}),
    (ALICE, {}, {READ}),
    (ALICE, GRANTED, {READ, MANAGE}),
    (BOB, GRANTED, {READ, UPLOAD}),
    (known("carol"), GRANTED, {READ}),
    (known("carol", "dev"), {"user:carol": frozenset({FETCH})}, {READ, UPLOAD, FETCH}),
    (ROOT, GRANTED, {READ, UPLOAD, MANAGE, FETCH}),
]


@pytest.mark.parametrize(("identity", "grants", "allowed"), BESIDE)
def test_defaults_may_hold_beside_grants(
    identity: Identity | None, grants: Grants, allowed: set[Permission]
) -> None:
    """With ``add``, grants take nothing away of what everybody has by default."""
    found = {p for p in Permission if policy.allows(identity, p, FLASK, "g1", grants, ADDED)}
    assert found == allowed
    lines = policy.readable(identity, [summary("flask")], {FLASK: grants}, ADDED)
    assert bool(lines) == (READ in allowed)


def scoped(owner: Identity, *permissions: Permission, **given: Any) -> Identity:
    """The owner's token, for everything unless said otherwise."""
    scope = {"projects": {"*": None}, "permissions": frozenset(permissions), **given}
    return replace(owner, credential="t", scope=Scope(**scope))


ALL = tuple(Permission)
NARROWED: list[tuple[Identity, Grants, str | None, set[Permission]]] = [
    # A token leaves of its owner's rights what its scope covers, and adds none.
    (scoped(ALICE, *ALL), GRANTED, "g1", {READ, MANAGE}),
    (scoped(ALICE, READ), GRANTED, "g1", {READ}),
    (scoped(ALICE, UPLOAD), GRANTED, "g1", set()),
    (scoped(ALICE), GRANTED, "g1", set()),
    (scoped(ROOT, READ, UPLOAD), GRANTED, "g1", {READ, UPLOAD}),
    # Of projects, those that it names, in the generation that it names.
    (scoped(ROOT, READ, projects={"flask": "g1"}), {}, "g1", {READ}),
    (scoped(ROOT, READ, projects={"flask": "g1"}), {}, "g2", set()),
    (scoped(ROOT, READ, projects={"flask": "g1"}), {}, None, set()),
    (scoped(ROOT, READ, projects={"flask": None}), {}, "g2", {READ}),
    (scoped(ROOT, READ, projects={"fla*": None}), {}, "g2", {READ}),
    (scoped(ROOT, READ, projects={"fl": None}), {}, "g1", set()),
    (scoped(ROOT, READ, projects={"flask-*": None}), {}, "g1", set()),
    (scoped(ROOT, READ, projects={"[f]lask": None}), {}, "g1", set()),
    (scoped(ROOT, READ, projects={}), {}, "g1", set()),
    # A project named with an ended generation is not let in by a pattern beside it.
    (scoped(ROOT, READ, projects={"flask": "g1", "*": None}), {}, "g2", set()),
    # A free name is claimed by a token that may create.
    (scoped(ROOT, READ, UPLOAD), {}, None, {READ}),
    (scoped(ROOT, READ, UPLOAD, creates=True), {}, None, {READ, UPLOAD}),
    (scoped(ROOT, UPLOAD, creates=True, projects={"django": None}), {}, None, set()),
    # One that nobody owns is a right by itself, as far as its scope goes.
    (scoped(ANYBODY, UPLOAD, projects={"flask": "g1"}, sufficient=True), {}, "g1", {UPLOAD}),
    (scoped(ANYBODY, UPLOAD, projects={"flask": "g1"}, sufficient=True), {}, "g2", set()),
    (scoped(ANYBODY, UPLOAD, projects={"flask": "g1"}), {}, "g1", set()),
]


@pytest.mark.parametrize(("identity", "grants", "generation", "allowed"), NARROWED)
def test_tokens_narrow(
    identity: Identity, grants: Grants, generation: str | None, allowed: set[Permission]
) -> None:
    """Each row: a token, grants, the project's generation, and exactly what follows."""
    found = {
        p for p in Permission if policy.allows(identity, p, FLASK, generation, grants, DEFAULT)
    }
    assert found == allowed
    if generation is not None:
        line = replace(summary("flask"), generation=generation)
        lines = policy.readable(identity, [line], {FLASK: grants} if grants else {}, DEFAULT)
        assert bool(lines) == (READ in allowed)


@pytest.mark.parametrize(
    ("admin", "scope", "administers"),
    [
        (True, None, True),
        (False, None, False),
        (True, {"admin": False}, False),
        (True, {"admin": True}, True),
        (False, {"admin": True}, False),
    ],
)
def test_a_token_administers_if_made_so(
    admin: bool, scope: dict[str, bool] | None, administers: bool
) -> None:
    """An admin's token is an admin's only where that was asked for; nobody else's ever is."""
    somebody = known("root", admin=admin)
    if scope is not None:
        somebody = scoped(somebody, *ALL, **scope)
    assert policy.administers(somebody) is administers


def test_a_token_without_the_right_says_so() -> None:
    """Whether the token or its owner lacks the right is told apart."""
    with pytest.raises(errors.Forbidden, match="This token isn't made to upload to project"):
        policy.decide(scoped(ROOT, READ), UPLOAD, FLASK, "g1", {}, DEFAULT)
    with pytest.raises(errors.Forbidden, match="The user 'alice' isn't allowed to upload"):
        policy.decide(scoped(ALICE, UPLOAD), UPLOAD, FLASK, "g1", {}, DEFAULT)


@pytest.mark.parametrize("spelling", ["Holy_Grail", "holy.grail", "HOLY--grail", "holy-grail"])
def test_every_spelling_is_the_same_name(spelling: str) -> None:
    """Grants and scopes are of the normalised name: no other spelling goes around them."""
    name = normalize(spelling)
    grants: Grants = {"user:bob": frozenset({READ})}
    every = {(NormalizedName("holy-grail"), "g1"): grants}
    assert policy.of(every, name, "g1") == grants
    assert not policy.allows(ALICE, READ, name, "g1", policy.of(every, name, "g1"), OPEN)
    token = scoped(ROOT, READ, projects={"holy-grail": "g1"})
    assert policy.allows(token, READ, name, "g1", {}, DEFAULT)
    assert not policy.allows(token, READ, normalize(f"{spelling}2"), "g1", {}, DEFAULT)


def test_what_is_bound_stands_before_what_is_not() -> None:
    """Of one principal a bound grant counts alone; of others the unbound ones count too."""
    every = {
        (FLASK, "g1"): {"everyone": frozenset({READ})},
        (FLASK, UNBOUND): {"everyone": frozenset({UPLOAD}), "user:bob": frozenset({MANAGE})},
    }
    assert policy.of(every, FLASK, "g1") == {
        "everyone": frozenset({READ}),
        "user:bob": frozenset({MANAGE}),
    }
    assert policy.of(every, FLASK, "g2") == every[FLASK, UNBOUND]
    assert policy.of(every, NormalizedName("django"), "g1") == {}
