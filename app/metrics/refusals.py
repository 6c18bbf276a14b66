"""Why an upload was refused, in few words. Pure."""

from __future__ import annotations

import re

from app import errors

_CHECK = "check_"
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
DEEPEST = 40


def reason(error: BaseException) -> str:
    """The check that refused (``check_filename``: ``filename``), else the error's own name.

    The words are those of our code, so there are only so many. What children found in an
    archive is ``invalid_upload``.
    """
    found = ""
    trace = error.__traceback__
    for _ in range(DEEPEST):
        if trace is None:
            break
        name = trace.tb_frame.f_code.co_name
        if name.startswith(_CHECK):
            found = name.removeprefix(_CHECK)
        trace = trace.tb_next
    if found and isinstance(error, errors.Invalid):
        return found
    return _WORD.sub("_", type(error).__name__).lower()
