"""One of several processes that upload one filename at the same moment.

Reads a line of JSON for every round (a file to send, of which project and version), says
``ready`` when its connection stands, uploads on the next line, and says what was answered.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx

from tests.factories import Made, form
from tests.invariants.server import AUTH


def main(url: str) -> None:
    """Race until standard input ends."""
    # A connection each time, so that the kernel chooses the worker anew.
    with httpx.Client(base_url=url, auth=AUTH, trust_env=False, timeout=60) as client:
        while line := sys.stdin.readline():
            task = json.loads(line)
            made = Made(task["filename"], Path(task["path"]).read_bytes())
            fields = form(made, task["project"], task["version"])
            request = client.build_request(
                "POST", "/legacy/", data=fields, files={"content": (made.filename, made.content)}
            )
            request.read()
            client.get("/health/live")
            say("ready")
            sys.stdin.readline()
            answer = client.send(request)
            say(json.dumps({"status": answer.status_code, "text": answer.text}))


def say(line: str) -> None:
    """One line to whoever started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
