"""What every group of settings has: the environment, and the directory of this installation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "test", "staging", "production"]


class InstallationSettings(BaseSettings):
    """The start of each group. A component asks for the group that it needs, and `Settings` is all of them.

    A field's name in capitals is the variable's name; durations are held in seconds. An empty variable counts as not set.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", env_ignore_empty=True, extra="ignore", validate_default=False
    )

    environment: Environment = "development"
    quarry_home: Path = Path(".quarry")
