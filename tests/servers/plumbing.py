"""A pipe to a server that notes what goes through it, a connection at a time."""

from __future__ import annotations

import asyncio
import threading

from tests.servers.wire import PIECE


class Pipe:
    """Listens on ``port`` in a thread of its own, before ``server`` on loopback.

    ``seen`` are the connections that were made, each by what was sent on it to the server.
    """

    def __init__(self, server: int) -> None:
        self.seen: list[bytearray] = []
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._listening = asyncio.run_coroutine_threadsafe(starting, self._loop).result(30)
        self.port: int = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """End it, once what is under way came to its end."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._listening.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = bytearray()
        self.seen.append(sent)
        up, down = await asyncio.open_connection("127.0.0.1", self._server)
        await asyncio.gather(_pour(reader, down, sent), _pour(up, writer, bytearray()))


async def _pour(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, copy: bytearray
) -> None:
    try:
        while piece := await reader.read(PIECE):
            copy += piece
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()
