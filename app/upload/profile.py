"""How strictly an upload is judged."""

from __future__ import annotations

from typing import Literal

Profile = Literal["strict", "import"]
"""``strict``: what a current tool makes and a public index takes. ``import``: also what older
tools and mirrors made. The rules that keep an index safe are the same in both."""
