"""The class Settings, with all settings. They are read once from the environment and `.env`, and do not change afterwards.

The file `.env.example` describes each setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from service.settings.cache import CacheSettings
from service.settings.changes import ChangesSettings
from service.settings.database import DatabaseSettings
from service.settings.env_file import SettingsError, check_env_file
from service.settings.forms import is_meant_for_others
from service.settings.http import HttpSettings, RateLimitSettings
from service.settings.personal import PersonalSettings

_SERVED = {"database_pool_min": 2, "database_pool_max": 10, "database_connect_attempts": 10}
_LOCAL = {"database_pool_min": 1, "database_pool_max": 5, "database_connect_attempts": 3}
_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "development": _LOCAL,
    "test": {**_LOCAL, "database_name": "quarry_test"},
    "staging": _SERVED,
    "production": _SERVED,
}


class Settings(PersonalSettings, HttpSettings, RateLimitSettings, ChangesSettings, CacheSettings, DatabaseSettings):
    """All settings: the fields of all groups. In `model_fields`, the fields of the last base class come first."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment and `.env`. Raises SettingsError, whose message names every variable whose value can't be used."""
        check_env_file(Path(".env"))
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(
                "; ".join(_complaint(each["loc"], each["msg"]) for each in error.errors()),
                "see .env.example for every variable and its form",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f".env can't be read: {error}", "correct the file, or take it away") from error

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        environment = str(values.get("environment", "development"))
        ours = {name: value for name, value in values.items() if not is_meant_for_others(name, value)}
        return {**_DEFAULTS.get(environment, {}), **ours}


def _complaint(location: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {text}" if location else text
