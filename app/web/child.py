"""One question to a process of its own, which answers and ends: strangers' bytes are read there."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from app import errors

_ROOT = str(Path(__file__).parents[2])


async def answered(
    module: str, *arguments: str, sent: bytes = b"", deadline: float
) -> bytes | None:
    """What ``main`` of the module writes; ``deadline`` in seconds by the clock.

    It finds our process's id and then the arguments in ``sys.argv``, and ``sent`` on standard
    input; it sees nothing of our environment. None where it wrote nothing, failed, or was not
    done in time. Raises errors.Busy where it cannot be started.
    """
    program = f"import sys; sys.path.append({_ROOT!r}); from {module} import main; main()"
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", program, str(os.getpid()), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
    except OSError as error:  # no room for another one, or no more descriptors
        raise errors.Busy("No more processes can be started just now; try again.") from error
    out = b""
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                out, _ = await process.communicate(sent)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return out if out and not process.returncode else None
