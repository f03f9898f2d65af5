"""What a JSON body may be like, found out from its bytes before anything is made of it."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation

from service.errors import InvalidInput, Malformed

DEPTH = 32
"""Arrays and objects within each other."""
MEMBERS = 5_000
"""Commas of all arrays and objects together, so nearly their members."""
# Both match, or fail, in one pass: what is no JSON must not cost more than what is.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_DECIMAL = re.compile(rb"(?<![0-9])-?[0-9]++(?=[.eE])(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_LONGEST_NUMBER = 400


def check(raw: bytes) -> None:
    """Raises Malformed beyond the bounds and for NaN and Infinity; InvalidInput for a number that would lose digits.

    Whether it is JSON at all is left to the parser.
    """
    outside = _STRING.sub(b"", raw)
    if outside.count(b",") >= MEMBERS:
        raise Malformed(f"The body has more than {MEMBERS} members.")
    if _depth(outside) > DEPTH:
        raise Malformed(f"The body is nested more than {DEPTH} deep.")
    # The parser would take them.
    if b"N" in outside or b"I" in outside:
        raise Malformed("The body is not valid JSON.")
    if any(_loses_digits(number) for number in _DECIMAL.findall(outside)):
        raise InvalidInput.of("", "a number has more digits than are kept; give it as text")


def _depth(outside: bytes) -> int:
    """How deep it is, or at least how deep it is when it is too deep."""
    depth = deepest = 0
    for match in _BRACKET.finditer(outside):
        depth += 1 if match.group() in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > DEPTH:
            break
    return deepest


def _loses_digits(number: bytes) -> bool:
    """Whether it is another number once it has been a float. What is beyond all floats is refused elsewhere."""
    text = number.decode("ascii")
    if len(text) > _LONGEST_NUMBER:
        return True
    value = float(text)
    try:
        return math.isfinite(value) and Decimal(text) != Decimal(repr(value))
    except InvalidOperation:
        # Its exponent is beyond decimals too.
        return True
