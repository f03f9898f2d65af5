"""Settings for following the log of commits: for LISTEN, for change streams and for consumers."""

from __future__ import annotations

from pydantic import Field

from service.addresses import Address
from service.settings.cache import RedisSettings
from service.settings.database import DatabaseSettings, ServerUrl
from service.settings.forms import Seconds


class ChangesSettings(RedisSettings, DatabaseSettings):
    """How this process follows the log: the address for LISTEN, limits of change streams, and the function for the consumers."""

    changes_listen_url: ServerUrl | None = None
    changes_max_age: Seconds = 7 * 86400.0
    changes_streams_per_tenant: int = Field(default=2_000, ge=1)
    changes_heartbeat: Seconds = 15.0
    consumers: str | None = None

    def listening_address(self) -> Address:
        """The address for LISTEN, which must not lead to a pooler: CHANGES_LISTEN_URL, or `serving_url()` if that is not set."""
        url = self.changes_listen_url.get_secret_value() if self.changes_listen_url else self.serving_url()
        return self._address(url, "quarry_app")
