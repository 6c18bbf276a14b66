"""XML-RPC on the wire: bytes → a call, a value → bytes. Pure.

expat reads; a document type declaration, and with it every entity, is refused before
anything of it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.parsers import expat
from xmlrpc.client import Error as XmlRpcError
from xmlrpc.client import Fault, Marshaller, Unmarshaller

Value = Any
"""What XML-RPC can say: str, int, bool, float, datetime, bytes, lists, dicts by str."""

NOT_WELL_FORMED = -32700
NO_METHOD = -32601
WRONG_ARGUMENTS = -32602
DEPTH = 32
"""Elements within elements; a call that we know has eleven."""

_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])


def parse(body: bytes) -> tuple[str, list[Value]]:
    """The method's name and the arguments. Raises Fault for what is no call."""
    target = Unmarshaller(use_builtin_types=True)
    target.xml("", None)  # expat decodes
    try:
        _feed(body, target)
        arguments = target.close()
        name = target.getmethodname()
    except (expat.ExpatError, XmlRpcError, ValueError, TypeError, LookupError) as wrong:
        raise Fault(NOT_WELL_FORMED, "This is no XML-RPC call.") from wrong
    if name is None:
        raise Fault(NOT_WELL_FORMED, "This is no XML-RPC call.")
    return name, list(arguments)


def answer(value: Value) -> bytes:
    """The response that carries a value."""
    return _response(_Marshaller().dumps((value,)))


def fault(fault: Fault) -> bytes:
    """The response that says what was wrong."""
    return _response(_Marshaller().dumps(fault))


def _feed(body: bytes, target: Unmarshaller) -> None:
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEPTH:
            raise ValueError("too deep")
        target.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        target.end(tag)

    def refuse(*_: object) -> None:
        raise ValueError("a document type declaration")

    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = target.data
    parser.Parse(body, True)


def _response(params: str) -> bytes:
    xml = f"<?xml version='1.0'?>\n<methodResponse>\n{params}</methodResponse>\n"
    return xml.encode("utf-8", "replace")


class _Marshaller(Marshaller):
    """Writes serials beyond 32 bits as ``i8``, and leaves out what XML 1.0 cannot carry."""


def _dump_int(_: Marshaller, value: int, write: Callable[[str], object]) -> None:
    kind = "int" if -(2**31) <= value < 2**31 else "i8"
    write(f"<value><{kind}>{value}</{kind}></value>\n")


def _dump_str(marshaller: Marshaller, value: str, write: Callable[[str], object]) -> None:
    marshaller.dump_unicode(value.translate(_CONTROLS), write)


# The table of the class that it extends is shared by every other user of the process.
_Marshaller.dispatch = {**Marshaller.dispatch, int: _dump_int, str: _dump_str}
