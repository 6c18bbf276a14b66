"""Names that a script may not have, because installing it would take over the environment."""

from __future__ import annotations

import re

_SUFFIXES = re.compile(r"(-script)?(\.(exe|bat|cmd|com|ps1|py|pyw|sh|csh|fish|nu|xsh))*\Z")
_INTERPRETER = re.compile(r"(python|pythonw|pypy|pypyw)[0-9.]*t?d?\Z")
_ACTIVATION = frozenset({"activate", "activate_this", "deactivate"})
_INSTALLER = re.compile(r"(pip|easy_install)[-0-9.]*\Z")
_INSTALLERS = frozenset({"pip", "setuptools", "distribute"})


def shadows(script: str, project: str) -> bool:
    """Whether a script or entry point of this name would shadow what an environment is run by.

    That is the interpreter, the activation, and, but for its own ``project`` (normalised), pip.
    """
    name = _SUFFIXES.sub("", script.lower(), count=1)
    if _INTERPRETER.match(name) or name in _ACTIVATION:
        return True
    return _INSTALLER.match(name) is not None and project not in _INSTALLERS
