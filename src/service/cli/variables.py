"""The environment variables that settings are read from: shows their values, and finds variables that look mistyped."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import BeforeValidator, SecretStr

from service.addresses import masked_url
from service.settings.forms import format_duration
from service.settings.settings import Settings


def shown(settings: Settings) -> dict[str, object]:
    """For each setting, the name of its environment variable and its value as it would be written there; secrets are masked."""
    return {
        name.upper(): _masked(
            getattr(settings, name), is_duration=any(isinstance(m, BeforeValidator) for m in f.metadata)
        )
        for name, f in type(settings).model_fields.items()
    }


def unknown_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """A message for every variable, in the environment or in `.env`, that is not a setting but looks like a mistyped one.

    If there is a setting with a similar name, the message names it.
    """
    # Suppress dotenv's warnings about unreadable lines in `.env`: they were already printed when the settings were loaded.
    logging.getLogger("dotenv").setLevel(logging.ERROR)
    given = {**dotenv_values(".env"), **(os.environ if environ is None else environ)}
    known = [name.upper() for name in Settings.model_fields]
    lines = []
    for name in sorted({name.upper() for name in given} - set(known)):
        is_ours = name.startswith(("DATABASE_", "REDIS_", "RATE_LIMIT_", "PII_"))
        close = difflib.get_close_matches(name, [k for k in known if "_" in k], 1, 0.6 if is_ours else 0.9)
        if is_ours or close:
            lines.append(f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else ""))
    return lines


def _masked(value: object, *, is_duration: bool) -> object:
    if isinstance(value, SecretStr):
        plain = value.get_secret_value()
        return masked_url(plain) if "://" in plain else "***"
    if is_duration and isinstance(value, float):
        return format_duration(value)
    if isinstance(value, tuple):
        return ",".join(str(_masked(each, is_duration=False)) for each in value)
    return str(value) if isinstance(value, Path) else value
