"""One child process, from the side of its parent."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from app import errors
from app.upload.inspection.answers import Garbled, Head, Inspection, read_head, read_texts

START_TIMEOUT = 30.0
END_TIMEOUT = 1.0
LIFETIME = 500
_UPLOAD = Path(__file__).parents[1]
# ``archives`` alone, by a path of its own: importing it as a part of ``app`` would
# import ``app`` too, and double the time to start and the memory.
_PROGRAM = f"import sys; sys.path.append({str(_UPLOAD)!r}); from archives.child import main; main()"
log = logging.getLogger(__name__)


class Request(msgspec.Struct):
    """One file to inspect; ``cpu`` is in seconds."""

    path: str
    filename: str
    kind: str
    strict: bool
    cpu: float
    limits: dict[str, int]


class Died(Exception):
    """The child is gone without an answer; it may not have been the archive's fault."""


class Child:
    """A process that is ready for the next file; it knows no environment variable."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
    ) -> None:
        self.pid = process.pid
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._served = 0
        self._worn = False
        self.missing: list[str] = []

    @classmethod
    async def start(cls, memory: int) -> Child:
        """A child that has locked itself down to ``memory`` bytes. Raises Died, OSError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _PROGRAM, str(memory), str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )  # fmt: skip
        if process.stdin is None or process.stdout is None:
            raise Died
        child = cls(process, process.stdin, process.stdout)
        try:
            head = await asyncio.wait_for(read_head(child._stdout), START_TIMEOUT)
            if head.ready != process.pid:
                raise Died
        except (asyncio.IncompleteReadError, Garbled, TimeoutError) as error:
            await child.close()
            raise Died from error
        except BaseException:
            await child.close()
            raise
        child.missing = head.missing
        return child

    @property
    def usable(self) -> bool:
        """Whether it may take another file."""
        is_alive = self._process.returncode is None and not self._stdout.at_eof()
        return is_alive and not self._worn and self._served < LIFETIME

    async def ask(self, request: Request, deadline: float) -> Inspection:
        """The answer within ``deadline`` seconds.

        Raises errors.InvalidUpload for what is wrong with the file, Died for a child that
        went away. After any other exception, cancellation too, the child is not usable.
        """
        self._served += 1
        worn, self._worn = self._worn, True
        try:
            async with asyncio.timeout(deadline):
                head, inspection = await self._exchange(msgspec.json.encode(request))
        except TimeoutError:
            raise _invalid("it takes too long to read") from None
        except Garbled:
            log.error("an inspecting child answered nonsense about %s", request.filename)
            raise _invalid("it could not be read") from None
        except (asyncio.IncompleteReadError, OSError) as error:
            await self._end()
            if await self.close() == -signal.SIGXCPU:
                raise _invalid("it takes too much time to read") from None
            raise Died from error
        self._worn = worn or head.worn or head.crashed is not None
        if head.crashed is not None:
            log.error("the inspection of %s failed: %s", request.filename, head.crashed)
            raise _invalid("it could not be read")
        if head.refused is not None or inspection is None:
            raise _invalid(head.refused or "it could not be read")
        return inspection

    async def _exchange(self, body: bytes) -> tuple[Head, Inspection | None]:
        self._stdin.write(len(body).to_bytes(4, "big") + body)
        await self._stdin.drain()
        head = await read_head(self._stdout)
        if head.sizes is None:
            return head, None
        return head, await read_texts(self._stdout, head)

    async def _end(self) -> None:
        """Let a child that hung up end by itself.

        ``kill`` asks first whether it has ended, and takes what it ended with away from the
        thread of asyncio that waits for just that; nobody would know then what it died of.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT):
                await self._process.wait()

    async def close(self) -> int:
        """End the process, whatever it does; answers its return code."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._stdin.close()
        code = await self._process.wait()
        # Its pipe is at its end; asyncio closes its transport when that was read.
        await self._stdout.read()
        return code


def _invalid(reason: str) -> errors.InvalidUpload:
    return errors.InvalidUpload(f"Invalid distribution file. {reason[0].upper()}{reason[1:]}.")
