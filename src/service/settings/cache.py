"""Settings of Redis and of the cache."""

from __future__ import annotations

from pydantic import Field, SecretStr

from service.settings.forms import RedisUrl, Seconds
from service.settings.installation import InstallationSettings


class RedisSettings(InstallationSettings):
    """The address of Redis. Redis is not used if both `redis_url` and `redis_host` are missing."""

    redis_url: RedisUrl | None = None
    redis_host: str | None = None
    redis_port: int = Field(default=6379, ge=1, le=65535)
    redis_password: SecretStr | None = None
    redis_db: int = Field(default=0, ge=0)

    @property
    def has_redis(self) -> bool:
        """Whether the settings name a Redis server."""
        return self.redis_url is not None or self.redis_host is not None


class CacheSettings(RedisSettings):
    """How long cached results are kept, and how many results and bytes each process keeps in its memory at most."""

    cache_ttl: Seconds = 300.0
    cache_max_entries: int = Field(default=10_000, ge=1)
    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
