"""The base class of all groups of settings. It contains the environment, such as production, and the state directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "test", "staging", "production"]


class InstallationSettings(BaseSettings):
    """Base class of all groups of settings. A component is given the group that it needs; `Settings` combines all groups.

    The value of a field is read from the environment or `.env`, where the name of the field is written in capitals. An empty
    value counts as not set. Fields for durations contain seconds. `quarry_home` is the directory for files of this installation,
    such as those of the embedded PostgreSQL.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", env_ignore_empty=True, extra="ignore", validate_default=False
    )

    environment: Environment = "development"
    quarry_home: Path = Path(".quarry")
