"""Brings texts that people compare by eye, such as email addresses, into one spelling, and finds invisible characters.

Letters of different scripts that look alike remain different (decision 0025).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import idna

Say = Callable[[str], None]
"""A function that shows the operator one line about the progress of a command."""

_JOINERS = "\u200c\u200d"
"""Zero-width characters that join, or separate, letters of some scripts and the parts of an emoji."""
_VARIATIONS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
"""Variation selectors: they choose the form of the character before them, an emoji or a letter of a Japanese name."""
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0080-\U000e0fff]"
)
"""Characters that are displayed as nothing: those with Unicode's property Default_Ignorable_Code_Point, except the format
characters, which are found by their category (Cf)."""
_SEEN = frozenset("LMNPS")


def invisible(text: str, *, lines: bool = False) -> str | None:
    """The first character that can't be seen, or that changes the direction of the text; None if there is none.

    With `lines`, line breaks and tabs are allowed. A joiner is always allowed between characters that are not ASCII, and a
    variation selector after such a character.
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
            # Characters for private use, and those that this version of Unicode does not know yet, are allowed.
            continue
        return char
    return None


def is_blank(text: str) -> bool:
    """Whether a text has no letter, mark, digit, punctuation or symbol. Hangul fillers and U+2800 do not count as such."""
    return not any(
        unicodedata.category(char)[0] in _SEEN and unicodedata.name(char, "").find("FILLER") < 0 and char != "\u2800"
        for char in text
    )


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC): a letter with an accent becomes one character, if there is such a character."""
    return unicodedata.normalize("NFC", text)


def host_name(text: str) -> str:
    """A host name in the form used in DNS: lower case, non-ASCII names as xn--…, without a final dot. Raises ValueError."""
    name = composed(text.strip())
    if name.isascii():
        return name.lower().removesuffix(".")
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower().removesuffix(".")
    except idna.IDNAError:
        raise ValueError("this is no host name") from None


def email_address(text: str) -> str:
    """An e-mail address in the spelling in which it is stored and compared. Raises ValueError if it can't be an address."""
    local, at, domain = composed(text.strip()).rpartition("@")
    if not at:
        raise ValueError("an address has an @")
    if not _VARIATIONS.isdisjoint(local):
        raise ValueError("an address has no variation selectors")
    return f"{local.lower()}@{host_name(domain)}"


def printable(text: str) -> str:
    """The text for a terminal or a log: control characters and invisible characters are replaced by their code points in hex."""
    return re.sub(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]",
        lambda match: f"\\u{ord(match[0]):04x}" if match[0] <= "\uffff" else f"\\U{ord(match[0]):08x}",
        text,
    )
