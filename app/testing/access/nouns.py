"""People, passwords and grants that the clauses speak of."""

from __future__ import annotations

from packaging.utils import NormalizedName

from app.access.base import UNBOUND, Account, People
from app.models import Permission

FLASK = NormalizedName("flask")
PASSWORD = "a fine long passphrase"
OTHER = "quite another passphrase"
WRONG = [
    *("", " ", OTHER, PASSWORD + " ", PASSWORD[:-1], PASSWORD.upper(), PASSWORD + "\0"),
    *("x" * 1025, "x" * 1_000_000, "\ud800" * 20),
]
READ, UPLOAD, MANAGE = Permission.READ, Permission.UPLOAD, Permission.MANAGE

# Of "ada has a passphrase", with parameters that cost little.
HASH = (
    "$argon2id$v=19$m=64,t=1,p=1$qjWz2He+T7ksiNLijjnHug$dVWRZ9dnOwYLRt6GSg2FzvcNlDXC4u6pZvOHrbv69TE"
)
CROWD = People(
    accounts=(
        Account(name="ada", password=HASH, admin=True),
        Account(name="bob", password=HASH, disabled=True),
        Account(name="cid", password=HASH, pending=True),
        Account(name="dan"),
        Account(name="eva", password=HASH, disabled=True, pending=True),
    ),
    groups={"empty": frozenset(), "ops": frozenset({"ada", "stranger"})},
    grants={
        (FLASK, "g1"): {"user:ada": frozenset({READ, MANAGE}), "everyone": frozenset({READ})},
        (FLASK, UNBOUND): {"authenticated": frozenset({UPLOAD})},
        (NormalizedName("other"), UNBOUND): {"group:ops": frozenset({READ})},
    },
    registration=True,
)

READERS = People(
    accounts=(
        Account(name="ada", password=HASH, admin=True),
        Account(name="bob", password=HASH),
        Account(name="dan"),
        Account(name="eve", password=HASH, disabled=True),
    ),
    groups={"empty": frozenset(), "ops": frozenset({"ada", "stranger"})},
    grants={
        (FLASK, UNBOUND): {"user:ada": frozenset({READ, MANAGE}), "everyone": frozenset({READ})},
        (NormalizedName("other"), UNBOUND): {"group:ops": frozenset({UPLOAD})},
    },
)
"""What every backend can hold, edited here or elsewhere."""
