"""The settings that are in every group: the environment (such as production), and the directory of this installation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "test", "staging", "production"]


class InstallationSettings(BaseSettings):
    """Base class of all groups of settings. A component takes the group that it needs; `Settings` combines all groups.

    A field is read from the environment variable with the same name in capitals. An empty variable counts as not set. The
    values of durations are in seconds.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", env_ignore_empty=True, extra="ignore", validate_default=False
    )

    environment: Environment = "development"
    quarry_home: Path = Path(".quarry")
