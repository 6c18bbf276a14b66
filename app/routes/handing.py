"""Files that the web server before us sends from the disk that it shares with us.

We decide who may have which file, and answer with a header that names it; whoever stands
before us sends the bytes, whole or in part, at the price of a static file.
"""

from __future__ import annotations

from urllib.parse import quote

from app.storage.file import folder_of

INSIDE = "/_stored/"
"""Where nginx has the storage's folder, for us alone (``internal``)."""


def handed(key: str, *, delivery: str, storage: str) -> dict[str, str] | None:
    """The header that names the file of a key to the server before us; None without one.

    Takes the settings of the same names.
    """
    match delivery:
        case "x-accel-redirect":
            return {"X-Accel-Redirect": quote(f"{INSIDE}{key}")}
        case "x-sendfile":
            return {"X-Sendfile": quote(str(folder_of(storage).absolute() / key))}
        case _:
            return None
