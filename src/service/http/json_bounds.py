"""Limits on a JSON body, checked on its bytes before it is parsed."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

from service.errors import InvalidInput, Malformed

DEPTH = 32
"""How deeply arrays and objects may be nested."""
MEMBERS = 5_000
"""How many members all arrays and objects of a body may have together. The commas are counted, because their number is nearly
the same and is found without parsing."""
# These patterns match or fail in one pass, so that invalid JSON does not cost more than valid JSON.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_DECIMAL = re.compile(rb"(?<![0-9])-?[0-9]++(?=[.eE])(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_LONGEST_NUMBER = 400


def check(raw: bytes) -> None:
    """Raise Malformed if the body exceeds a limit or contains NaN or Infinity.

    Raises InvalidInput if a number would lose digits when it is converted to a float. Whether the body is valid JSON is not
    checked here, but by the parser.
    """
    outside = _STRING.sub(b"", raw)
    if outside.count(b",") >= MEMBERS:
        raise Malformed(f"The body has more than {MEMBERS} members.")
    if _depth(outside) > DEPTH:
        raise Malformed(f"The body is nested more than {DEPTH} deep.")
    # The parser would accept NaN and Infinity. Valid JSON has no N or I outside its strings.
    if b"N" in outside or b"I" in outside:
        raise Malformed("The body is not valid JSON.")
    if any(_loses_digits(number) for number in _DECIMAL.findall(outside)):
        raise InvalidInput.of("", "a number has more digits than are kept; give it as text")


def _depth(outside: bytes) -> int:
    """How deeply a body is nested; `outside` is the body without its strings. Counting stops when the limit is exceeded."""
    depth = deepest = 0
    for match in _BRACKET.finditer(outside):
        depth += 1 if match.group() in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > DEPTH:
            break
    return deepest


def _loses_digits(number: bytes) -> bool:
    """Whether conversion to float changes the number. A number with a very long text is treated as changed, one above the range
    of floats as unchanged, because the model refuses it afterwards.
    """
    text = number.decode("ascii")
    if len(text) > _LONGEST_NUMBER:
        return True
    value = float(text)
    try:
        return math.isfinite(value) and Decimal(text) != Decimal(repr(value))
    except InvalidOperation:
        # The exponent is so small that the float is 0 and that Decimal refuses the text. The number is treated as changed.
        return True
