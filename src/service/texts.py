"""Converts email addresses, host names and other texts to one spelling each, and finds invisible characters.

Letters that look alike but belong to different scripts remain different (docs/decisions/0025).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import idna

Say = Callable[[str], None]
"""A function that prints one line for the operator, about the progress of the running command."""

_JOINERS = "\u200c\u200d"
"""Zero-width non-joiner and joiner: they decide whether letters of some scripts, or the parts of an emoji, are joined."""
_VARIATIONS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
"""Variation selectors: each chooses the form of the character before it, such as an emoji or a character of a Japanese name."""
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0080-\U000e0fff]"
)
"""Characters that are not displayed: those with Unicode's property Default_Ignorable_Code_Point. Format characters, which have it
too, are missing here, because the function `invisible` finds them by their category (Cf)."""
_SEEN = frozenset("LMNPS")


def invisible(text: str, *, lines: bool = False) -> str | None:
    """The first character of `text` that is invisible or changes the direction of the text; None if all are allowed.

    With `lines`, line breaks and tabs are allowed. A zero-width joiner is allowed between two characters that are not ASCII,
    and a variation selector after a character that is not ASCII.
    """
    for position, char in enumerate(text):
        if _IGNORED.match(char) and not (char in _VARIATIONS and text[position - 1 : position] > "\x7f"):
            return char
        category = unicodedata.category(char)
        if category[0] != "C" and category not in ("Zl", "Zp"):
            continue
        if lines and char in "\n\r\t":
            continue
        if char in _JOINERS and text[position - 1 : position] > "\x7f" and text[position + 1 : position + 2] > "\x7f":
            continue
        if category in ("Co", "Cn"):
            # Allowed: characters for private use, and characters that Python's version of Unicode does not define yet.
            continue
        return char
    return None


def is_blank(text: str) -> bool:
    """Whether `text` looks empty: no letter, mark, digit, punctuation or symbol, apart from Hangul fillers and U+2800 (blank)."""
    return not any(
        unicodedata.category(char)[0] in _SEEN and unicodedata.name(char, "").find("FILLER") < 0 and char != "\u2800"
        for char in text
    )


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC): a letter with an accent becomes one character, if there is such a character."""
    return unicodedata.normalize("NFC", text)


def host_name(text: str) -> str:
    """The host name `text` in the form used in DNS: lower case, without a final dot, non-ASCII names as xn--….

    Raises ValueError if a name with non-ASCII characters can't be converted. ASCII names are not checked.
    """
    name = composed(text.strip())
    if name.isascii():
        return name.lower().removesuffix(".")
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower().removesuffix(".")
    except idna.IDNAError:
        raise ValueError("this is no host name") from None


def email_address(text: str) -> str:
    """The e-mail address `text` in the spelling for storing and comparing addresses. Raises ValueError if it can't be one."""
    local, at, domain = composed(text.strip()).rpartition("@")
    if not at:
        raise ValueError("an address has an @")
    if not _VARIATIONS.isdisjoint(local):
        raise ValueError("an address has no variation selectors")
    return f"{local.lower()}@{host_name(domain)}"


def printable(text: str) -> str:
    """`text` for a terminal or log: its control characters (except tab and newline) and most invisible ones become hex codes."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]",
        lambda match: f"\\u{ord(match[0]):04x}" if match[0] <= "\uffff" else f"\\U{ord(match[0]):08x}",
        text,
    )
