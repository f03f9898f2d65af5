"""Builds HTML. All text is escaped, except HTML that this module itself has built (`Markup`)."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """HTML that is ready to use and is not escaped again."""

    __slots__ = ()


Content = str | None | Iterable["Content"]
_EMPTY = frozenset({"input", "br", "meta"})


def escaped(content: Content) -> Markup:
    """Content as HTML. Text is escaped, Markup is used unchanged, and None becomes an empty string."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(content))
    return Markup("".join(escaped(each) for each in content or ()))


def element(name: str, *content: Content, **attributes: str | None) -> Markup:
    """An HTML element: `element("a", "text", href="#x")`. The arguments `class_` and `data_keys` set `class` and `data-keys`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{escaped(content)}</{name}>")
