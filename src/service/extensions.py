"""Loads code of the operator: calls a function that a setting names in the form `module:name`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from service.errors import OperatorError
from service.settings.settings import Settings


def load(settings: Settings, setting: str, kind: type[Any], *, many: bool = False) -> Any:
    """Call the function that the setting named `setting` names, with `settings` as the argument; returns its result.

    The result has to be an instance of `kind`. With `many` it has to be an iterable of such instances, and is returned as a
    tuple. Any exception becomes an OperatorError, because the operator's code may raise exceptions of any class.
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
