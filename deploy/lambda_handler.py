"""PyPICloud on AWS Lambda: ``lambda_handler.handler``, behind API Gateway, a URL, or an ALB.

The service is opened once in each environment, not once in each invocation, by mangum's
translation of events. Settings come from the function's variables.
"""

from __future__ import annotations

from typing import Any

from mangum import Mangum
from mangum.protocols import HTTPCycle, LifespanCycle

from app.main import create_app


class Handler(Mangum):
    """Answers events; begins the service with the first."""

    def __init__(self) -> None:
        super().__init__(create_app(), lifespan="off")
        self._life: LifespanCycle | None = None

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """The answer to one event. A start that fails is tried again by the next."""
        if self._life is None:
            life = LifespanCycle(self.app, "on")
            life.__enter__()
            self._life = life
        translated = self.infer(event, context)
        scope = {**translated.scope, "state": self._life.lifespan_state.copy()}
        return translated(HTTPCycle(scope, translated.body)(self.app))

    def close(self) -> None:
        """End the service; Lambda itself just freezes it."""
        if self._life is not None:
            self._life, life = None, self._life
            life.__exit__(None, None, None)


handler = Handler()
