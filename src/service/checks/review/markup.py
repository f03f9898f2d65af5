"""Builds HTML. Text is escaped, unless this module has built it: then it is HTML already, and its class is `Markup`."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML already, so `escaped()` and `element()` use it unchanged."""

    __slots__ = ()


Content = str | None | Iterable["Content"]
_EMPTY = frozenset({"input", "br", "meta"})


def escaped(content: Content) -> Markup:
    """Convert content to HTML: text is escaped, Markup is unchanged, None becomes '', the parts of an iterable are joined."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(content))
    return Markup("".join(escaped(each) for each in content or ()))


def element(name: str, *content: Content, **attributes: str | None) -> Markup:
    """An HTML element: `element("a", "text", href="#x")` returns `<a href="#x">text</a>`.

    In the name of an attribute, `_` at the end is removed, and any other `_` becomes `-`: `class_` sets `class`, `data_keys`
    sets `data-keys`. An attribute whose value is None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{escaped(content)}</{name}>")
