"""HTML that can't be got wrong: whatever is not made here is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """HTML as it is to be sent."""

    __slots__ = ()


Content = str | None | Iterable["Content"]
_EMPTY = frozenset({"input", "br", "meta"})


def escaped(content: Content) -> Markup:
    """Any content as HTML: text is escaped, Markup is not, of nothing there is nothing."""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(content))
    return Markup("".join(escaped(each) for each in content or ()))


def element(name: str, *content: Content, **attributes: str | None) -> Markup:
    """`element("a", "text", href="#x")`; `class_` and `data_keys` are written `class` and `data-keys`."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{escaped(content)}</{name}>")
