"""What to compare pages with: uvicorn alone, reading a file for each request.

The variables PAGE and PYPICLOUD_PORT name the file and the port.
"""

from __future__ import annotations

import os
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

PAGE = Path(os.environ.get("PAGE", os.devnull))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer everything with the file."""
    body = PAGE.read_bytes()  # noqa: ASYNC240  # this is what is measured
    headers = [(b"content-type", b"text/html"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PYPICLOUD_PORT"]),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
