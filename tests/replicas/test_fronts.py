"""The examples in ``deploy/``, as the programs that they are for see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.fronts import FRONTS, checked


@pytest.mark.parametrize("name", FRONTS)
def test_the_example_is_in_order(tmp_path: Path, name: str) -> None:
    """``haproxy -c`` and ``nginx -t`` have nothing to say against it."""
    done = checked(name, tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not any(word in said.lower() for word in ("warning", "[warn]", "deprecated")), said
