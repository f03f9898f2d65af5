"""Loads code that the operator has written: a function that a setting names as `module:name`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from service.errors import OperatorError
from service.settings.settings import Settings


def load(settings: Settings, setting: str, kind: type[Any], *, many: bool = False) -> Any:
    """The result of the function that a setting names (`module:name`), called with the settings.

    The result has to be of the class `kind`. With `many` it has to be an iterable of `kind`, and is returned as a tuple. Any
    exception becomes an OperatorError, because the operator's code may raise anything.
    """
    named = getattr(settings, setting)
    module, _, name = named.partition(":")
    try:
        make: Callable[[Settings], Any] = getattr(importlib.import_module(module), name)
        answer = tuple(make(settings)) if many else make(settings)
        for each in answer if many else (answer,):
            if not isinstance(each, kind):
                raise TypeError(f"it answers {type(each).__name__}, not {kind.__name__}")
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OperatorError(
            f"{setting.upper()}: {named} can't be had: {reason}", "name it as package.module:function"
        ) from error
    return answer
