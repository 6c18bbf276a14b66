"""Several processes of one service: a signal to their parent reaches each of them."""

from __future__ import annotations

import os
import signal

from uvicorn.supervisors import Multiprocess

PATIENCE = 60.0
"""Seconds in which a worker that is starting must be able to hear."""


class Workers(Multiprocess):
    """As uvicorn's, but SIGHUP has the workers read their settings anew, and restarts none."""

    def handle_hup(self) -> None:
        """Pass it on; a worker that starts reads the settings anyway, and would die of it."""
        for process in self.processes:
            if process.pid and process.wait_until_ready(PATIENCE, self.should_exit):
                os.kill(process.pid, signal.SIGHUP)
