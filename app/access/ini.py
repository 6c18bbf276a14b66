"""The lines of an INI file, as Python's web servers of former times read them."""

from __future__ import annotations

from collections.abc import Iterator

from app import errors


def lines(text: str) -> Iterator[tuple[int, str, str]]:
    """The number of its first line, key and value of every option, whatever its section.

    A line that begins with white space goes on with the value before. Raises
    errors.Misconfigured, which begins with ``line N``.
    """
    number, key, value = 0, "", ""
    for count, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if line[0].isspace() and key:
            value += f"\n{stripped}"
            continue
        if key:
            yield number, key, value.strip()
        number, key, value = count, "", ""
        if stripped.startswith("[") and stripped.endswith("]"):
            continue
        ends = [place for sign in "=:" if (place := stripped.find(sign)) > 0]
        if not ends:
            raise errors.Misconfigured(f"line {count}: neither a section nor an option")
        key, value = stripped[: min(ends)].strip(), stripped[min(ends) + 1 :]
    if key:
        yield number, key, value.strip()
