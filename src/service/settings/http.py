"""Settings of the HTTP server, of its rate limits, and of the sessions of signed-in users."""

from __future__ import annotations

from pydantic import Field

from service.settings.cache import RedisSettings
from service.settings.forms import Hosts, Networks, OperatorTokens, Origins, Rate, Seconds
from service.settings.installation import InstallationSettings


class RateLimitSettings(RedisSettings):
    """The rate limits. The name of a field is `rate_limit_` and the name of the limit."""

    rate_limit_sign_in_address: Rate = "300/minute"
    rate_limit_sign_in_account: Rate = "20/5minutes"
    rate_limit_sign_in_strangers: Rate = "100/hour"
    rate_limit_current_password: Rate = "10/15minutes"  # noqa: S105  a rate
    rate_limit_failures_tenant: Rate = "1000/hour"
    rate_limit_codes_phone: Rate = "10/hour"
    rate_limit_codes_tenant: Rate = "200/hour"
    rate_limit_guesses: Rate = "100/hour"
    rate_limit_passwords: Rate = "30/minute"
    rate_limit_seeds: Rate = "10/minute"
    rate_limit_operator: Rate = "30/minute"


class HttpSettings(InstallationSettings):
    """The server's address, trusted proxies and hosts, limits, timeouts, and the lifetimes of sessions and idempotency keys."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    trusted_proxies: Networks = ()
    allowed_hosts: Hosts = ()
    cors_origins: Origins = ()
    request_timeout: Seconds = 30.0
    shutdown_timeout: Seconds = 20.0
    shutdown_delay: Seconds = 0.0
    max_body_bytes: int = Field(default=256 * 1024, ge=1024)
    max_connections: int = Field(default=10_000, ge=0)
    max_connections_per_address: int = Field(default=1_000, ge=0)
    request_head_timeout: Seconds = 10.0
    request_body_timeout: Seconds = 30.0
    session_lifetime: Seconds = 7 * 86400.0
    session_idle_timeout: Seconds = 86400.0
    idempotency_lifetime: Seconds = 86400.0
    idempotency_keys_per_tenant: int = Field(default=100_000, ge=0)
    operator_token: OperatorTokens = ()
    code_sender: str | None = None
