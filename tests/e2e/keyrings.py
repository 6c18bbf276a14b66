"""A keyring that clients ask: a backend of the package ``keyring`` on a file of the sandbox."""

from __future__ import annotations

import json

from tests.e2e.sandbox import CLIENTS, Sandbox
from tests.e2e.server import Account

BACKEND = '''\
"""Secrets in a file, by the place they are for."""

import json
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential

SECRETS = json.loads(Path(__file__).with_name("secrets.json").read_text())


class Keyring(KeyringBackend):
    priority = 9

    def get_credential(self, service, username):
        found = SECRETS.get(service)
        if found is None or username not in (None, found[0]):
            return None
        return SimpleCredential(*found)

    def get_password(self, service, username):
        found = self.get_credential(service, username)
        return None if found is None else found.password

    def set_password(self, service, username, password):
        raise AssertionError("nobody is to write here")

    delete_password = set_password
'''


def with_keyring(sandbox: Sandbox, account: Account, *places: str) -> dict[str, str]:
    """Keep an account for these places; the variables with which clients look there.

    ``keyring``, which some run as a program, is twine's.
    """
    programs, modules = sandbox.home / "bin", sandbox.home / "keyrings"
    programs.mkdir()
    modules.mkdir()
    (programs / "keyring").symlink_to(CLIENTS / "twine" / "bin" / "keyring")
    (modules / "company_keyring.py").write_text(BACKEND)
    secrets = dict.fromkeys(places, (account.username, account.password))
    (modules / "secrets.json").write_text(json.dumps(secrets))
    return {
        "PATH": f"{programs}:{sandbox.environment()['PATH']}",
        "PYTHONPATH": str(modules),
        "PYTHON_KEYRING_BACKEND": "company_keyring.Keyring",
        "PIP_KEYRING_PROVIDER": "subprocess",
        "UV_KEYRING_PROVIDER": "subprocess",
        "POETRY_KEYRING_ENABLED": "true",
    }
