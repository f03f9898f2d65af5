"""Checks the file `.env`. For a line that it can't read, dotenv only warns and keeps the default; here it is an error."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dotenv.parser import parse_stream

from service.errors import OperatorError

_VARIABLE = re.compile(r"\$\{([^}:]*)(:-[^}]*)?\}")


class SettingsError(OperatorError):
    """A setting has a value that can't be used."""


def check_env_file(path: Path) -> None:
    """Raise SettingsError if `path` contains a line that is not NAME=value, or `${NAME}` with no NAME set and no default.

    Also raises it if the file can't be read. A missing file is no error.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env can't be read: {error}", "correct the file, or take it away") from error
    known = set(os.environ)
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(
                f".env, line {binding.original.line}: this line is not NAME=value, or a quote is not closed",
                "correct the line",
            )
        for name, default in _VARIABLE.findall(binding.value or ""):
            if name not in known and not default:
                raise SettingsError(
                    f".env, line {binding.original.line}: ${{{name[:40]}}} names no variable",
                    "define it above that line, or set this variable in the environment of the process",
                )
        known.add(binding.key or "")
