"""Tokens, pure: their text, their scopes, and who may make which."""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.access import tokens
from app.models import Permission, Scope
from tests.contracts.ledger import NOW, TOKEN

READ, UPLOAD = Permission.READ, Permission.UPLOAD
SCANNER = re.compile(r"\bpypi-ppc[uprso]_[0-9A-Za-z]{50}\b")
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def made(kind: str = "u") -> str:
    """The text of a new token."""
    return tokens.make(kind, scope=TOKEN.scope, now=NOW, lifetime=timedelta(days=1), owner="a")[1]


def scope(*projects: str, **facts: object) -> Scope:
    """A scope that reads and uploads these."""
    given = {"permissions": frozenset({READ, UPLOAD}), "projects": dict.fromkeys(projects)}
    return Scope(**{**given, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_a_token_looks_as_scanners_expect(kind: str) -> None:
    """Prefix, kind, 12 + 32 + 6 of base 62; the last six are the CRC-32 of all before."""
    text = made(kind)
    assert SCANNER.fullmatch(text)
    assert tokens.PATTERN.findall(f'password = "{text}",') == [text]
    number = 0
    for digit in text[-6:]:
        number = number * 62 + BASE62.index(digit)
    assert number == binascii.crc32(text[:-6].encode())


def test_a_token_is_read_as_it_was_made() -> None:
    """Kind, id and the digest of the secret come out of the text; the secret is not kept."""
    token, text = tokens.make(
        "p", scope=TOKEN.scope, now=NOW, lifetime=timedelta(days=1), owner="a"
    )
    parsed = tokens.parse(text)
    assert (parsed.kind, parsed.id) == ("p", token.id)
    assert tokens.is_of(parsed, token)
    assert text[22:54] not in repr(token)
    assert token.expires == NOW + timedelta(days=1)


def test_no_two_tokens_are_alike() -> None:
    """Ids and secrets are random."""
    assert len({made()[10:22] for _ in range(200)}) == 200
    assert len({made()[22:54] for _ in range(200)}) == 200


@given(place=st.integers(0, 59), char=st.sampled_from(BASE62 + "-_ é\0"))
def test_a_mistyped_token_is_told_without_a_look_up(place: int, char: str) -> None:
    """One character changed anywhere, and the token is not read."""
    text = made()
    changed = text[:place] + char + text[place + 1 :]
    if changed != text:
        with pytest.raises(errors.Unauthenticated):
            tokens.parse(changed)


@pytest.mark.parametrize("cut", [0, 1, 9, 30, 59])
def test_a_cut_token_is_told(cut: int) -> None:
    """A part of a token, or one with something behind it, is not read."""
    with pytest.raises(errors.Unauthenticated, match="mistyped or not complete"):
        tokens.parse(made()[:cut])
    with pytest.raises(errors.Unauthenticated):
        tokens.parse(made() + "x" * (cut + 1))


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        ("r", scope("*", permissions=frozenset({READ}))),
        ("p", scope("flask", "django")),
        ("u", scope("flask", "corp-*")),
        ("u", scope("flask", admin=True)),
        ("u", scope(permissions=frozenset(), admin=True)),
    ],
)
def test_the_kind_follows_from_the_scope(kind: str, of: Scope) -> None:
    """Who finds a token sees what it may be good for."""
    assert tokens.kind_of(of) == kind


@pytest.mark.parametrize(
    ("child", "fits"),
    [
        (scope("corp-x"), True),
        (scope("corp-x-*"), True),
        (scope("corp-*"), True),
        (scope("corp-*-y*"), True),
        (scope("corp-x", permissions=frozenset({READ})), True),
        (scope("flask", projects={"flask": "g1"}), True),
        (scope("flask", projects={"flask": "g2"}), False),
        (scope("flask", projects={"flask": None}), False),
        (scope("corp*"), False),
        (scope("*"), False),
        (scope("*-corp-*"), False),
        (scope("corp-x", "django"), False),
        (scope("flask*"), False),
        (scope("corp-x", permissions=frozenset({READ, Permission.MANAGE})), False),
        (scope("corp-x", creates=True), False),
        (scope("corp-x", admin=True), False),
    ],
    ids=lambda value: str(sorted(value.projects)) if isinstance(value, Scope) else str(value),
)
def test_a_child_is_no_wider_than_its_parent(child: Scope, fits: bool) -> None:
    """Permissions, projects, patterns, creation and admin of a child are within the parent's."""
    parent = replace(TOKEN, scope=scope(projects={"flask": "g1", "corp-*": None}), networks=())
    if fits:
        tokens.refuse_wider(child, [], parent)
    else:
        with pytest.raises(errors.Forbidden, match="no token that may do more"):
            tokens.refuse_wider(child, [], parent)


@pytest.mark.parametrize(
    ("networks", "fits"),
    [
        (["10.1.0.0/16"], True),
        (["10.0.0.0/8", "2001:db8::1/128"], True),
        ([], False),
        (["0.0.0.0/0"], False),
        (["10.0.0.0/8", "11.0.0.0/8"], False),
        (["::/0"], False),
    ],
)
def test_a_child_is_used_from_no_further(networks: list[str], fits: bool) -> None:
    """Where a parent is bound to networks, a child is bound to parts of them."""
    child = scope("corp-x")
    parent = replace(TOKEN, scope=scope("corp-*"))
    if fits:
        tokens.refuse_wider(child, networks, parent)
    else:
        with pytest.raises(errors.Forbidden):
            tokens.refuse_wider(child, networks, parent)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::7", True),
        ("11.1.2.3", False),
        ("2001:db9::7", False),
        ("", False),
        ("testclient", False),
    ],
)
def test_networks(address: str, inside: bool) -> None:
    """An address is in a network or not, also where IPv4 comes as IPv6; no networks: anywhere."""
    assert tokens.within(address, TOKEN.networks) is inside
    assert tokens.within(address, ())


@pytest.mark.parametrize("text", ["10.0.0.1/8", "x", "", "10.0.0.0/33", "10.0.0.0/8,::1"])
def test_what_is_no_network(text: str) -> None:
    """It is refused when the token is made."""
    with pytest.raises(errors.Invalid, match="A network is written like"):
        tokens.network(text)


@pytest.mark.parametrize(
    ("text", "kept"), [("Flask_Thing", "flask-thing"), ("*", "*"), ("corp-*", "corp-*")]
)
def test_projects_are_kept_in_one_spelling(text: str, kept: str) -> None:
    """Names are normalised, patterns are what they are."""
    assert tokens.project_or_pattern(text) == kept


@pytest.mark.parametrize("text", ["", "a b", "Corp-*", "[ab]*", "corp?*", "é*", "*" * 201, "-"])
def test_what_is_no_project(text: str) -> None:
    """Neither a name nor a pattern of small letters, digits, dashes and stars."""
    with pytest.raises(errors.InvalidName):
        tokens.project_or_pattern(text)
