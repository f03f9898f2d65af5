"""Settings of the database: the address for each role, TLS, the pool of connections, backups, logs of statements."""

from __future__ import annotations

import ssl as tls
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from service.addresses import Address, PoolLimits, check_url, is_safe_on_the_way
from service.settings.env_file import SettingsError
from service.settings.forms import Seconds, listed, schema_name
from service.settings.installation import InstallationSettings


def _server_url(secret: SecretStr) -> SecretStr:
    check_url(secret.get_secret_value())
    return secret


def _server_urls(value: str) -> tuple[SecretStr, ...]:
    return tuple(_server_url(SecretStr(url)) for url in listed(value))


_URLS = (
    "database_url", "database_migration_url", "database_platform_url", "database_backup_url", "changes_listen_url",
)  # fmt: skip
ServerUrl = Annotated[SecretStr, AfterValidator(_server_url)]
ServerUrls = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_server_urls)]


class DatabaseSettings(InstallationSettings):
    """The address of the database, the login of each role; TLS; sizes and timeouts of the pool; backups; logs of statements."""

    database_url: ServerUrl | None = None
    database_host: str | None = None
    database_port: int = Field(default=5432, ge=1, le=65535)
    database_user: str = "quarry_app"
    database_password: SecretStr | None = None
    database_name: str = "quarry"
    database_migration_url: ServerUrl | None = None
    database_platform_url: ServerUrl | None = None
    database_backup_url: ServerUrl | None = None
    database_replica_urls: ServerUrls = ()
    database_schema: Annotated[str, AfterValidator(schema_name)] = "quarry"

    database_pool_min: int = Field(default=1, ge=0)
    database_pool_max: int = Field(default=5, ge=1)
    database_pool_idle_timeout: Seconds = 30.0
    database_pool_acquire_timeout: Seconds = 20.0
    database_connect_timeout: Seconds = 10.0
    database_connect_attempts: int = Field(default=3, ge=1)
    database_statement_timeout: Seconds = 30.0
    database_query_timeout: Seconds = 30.0
    database_lock_timeout: Seconds = 5.0
    database_idle_in_transaction_timeout: Seconds = 60.0

    backup_directory: Path | None = None
    backup_keep: int = Field(default=7, ge=0)

    database_ssl: bool = False
    database_ssl_reject_unauthorized: bool = True
    database_ssl_required: bool = True
    database_ssl_ca: Path | None = None
    database_ssl_cert: Path | None = None
    database_ssl_key: Path | None = None

    database_log_queries: bool = False
    database_debug: bool = False
    database_slow_statement: Seconds = 1.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.database_pool_min > self.database_pool_max:
            raise ValueError("DATABASE_POOL_MIN is larger than DATABASE_POOL_MAX")
        if (self.database_ssl_cert is None) != (self.database_ssl_key is None):
            raise ValueError("DATABASE_SSL_CERT and DATABASE_SSL_KEY are given together")
        if self.environment == "production" and self.database_ssl_required:
            self._require_tls()
        return self

    def _require_tls(self) -> None:
        """Raise ValueError if an address leads to another host without TLS, or with TLS that does not verify the certificate."""
        is_verified = self.database_ssl and self.database_ssl_reject_unauthorized
        named = {name: getattr(self, name) for name in _URLS if getattr(self, name) is not None}
        urls = [(name, url.get_secret_value()) for name, url in named.items()]
        urls += [("database_replica_urls", url.get_secret_value()) for url in self.database_replica_urls]
        if self.database_url is None and self.database_host is not None:
            urls.append(("database_host", self.serving_url()))
        for name, url in urls:
            if not is_safe_on_the_way(url, has_verified_tls=is_verified):
                raise ValueError(
                    f"{name.upper()} leads to another host without verified TLS, which production refuses: set DATABASE_SSL=true"
                    " and DATABASE_SSL_CA, or DATABASE_SSL_REQUIRED=false where that network is yours alone"
                )

    @property
    def is_embedded(self) -> bool:
        """Whether the settings name no server. Then the service starts its own PostgreSQL, whose files are in `quarry_home`."""
        return self.database_url is None and self.database_host is None

    @property
    def limits(self) -> PoolLimits:
        """The sizes and timeouts of the pool."""
        return PoolLimits(
            minimum=self.database_pool_min,
            maximum=self.database_pool_max,
            idle_timeout=self.database_pool_idle_timeout,
            acquire_timeout=self.database_pool_acquire_timeout,
            connect_timeout=self.database_connect_timeout,
            connect_attempts=self.database_connect_attempts,
            query_timeout=self.database_query_timeout,
            statement_timeout=self.database_statement_timeout,
            lock_timeout=self.database_lock_timeout,
            idle_in_transaction_timeout=self.database_idle_in_transaction_timeout,
        )

    def address(self, role: Literal["quarry_app", "quarry_owner", "quarry_platform", "quarry_backup"]) -> Address:
        """The address for work as `role`. If the login in its URL is another one, a new connection switches to `role`."""
        own = {
            "quarry_owner": self.database_migration_url,
            "quarry_platform": self.database_platform_url,
            "quarry_backup": self.database_backup_url,
        }.get(role)
        return self._address(own.get_secret_value() if own else self.serving_url(), role)

    def replica_addresses(self) -> tuple[Address, ...]:
        """The addresses of the replicas, for the role `quarry_app`."""
        return tuple(self._address(url.get_secret_value(), "quarry_app") for url in self.database_replica_urls)

    def administration(self) -> Address:
        """The address for set-up: DATABASE_MIGRATION_URL, or the serving URL if that is not set. It has no role to switch to."""
        own = self.database_migration_url
        return self._address(own.get_secret_value() if own else self.serving_url(), None)

    def serving_url(self) -> str:
        """DATABASE_URL, or a URL made of DATABASE_HOST, DATABASE_PORT and so on. Raises SettingsError if neither is set."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.database_host is None:
            raise SettingsError("no database is named", "set DATABASE_URL, or DATABASE_HOST and the rest of its parts")
        password = f":{quote(self.database_password.get_secret_value(), safe='')}" if self.database_password else ""
        login = f"{quote(self.database_user, safe='')}{password}"
        name = quote(self.database_name, safe="")
        if self.database_host.startswith("/"):
            # The host is the path of a directory with a Unix socket.
            directory = quote(self.database_host, safe="")
            return f"postgresql://{login}@/{name}?host={directory}&port={self.database_port}"
        host = f"[{self.database_host}]" if ":" in self.database_host else self.database_host
        return f"postgresql://{login}@{host}:{self.database_port}/{name}"

    def _address(self, url: str, role: str | None) -> Address:
        taken = None if urlsplit(url).username == role else role
        timeout = self.database_connect_timeout
        if not self.database_ssl:
            return Address(url, role=taken, connect_timeout=timeout)
        return Address(url, role=taken, ssl=self._ssl(), libpq=self._libpq(), connect_timeout=timeout)

    def _ssl(self) -> tls.SSLContext:
        names, given = "DATABASE_SSL_CA", str(self.database_ssl_ca)
        try:
            context = tls.create_default_context(cafile=self.database_ssl_ca)
            if not self.database_ssl_reject_unauthorized:
                context.check_hostname = False
                context.verify_mode = tls.CERT_NONE
            if self.database_ssl_cert is not None:
                names, given = (
                    "DATABASE_SSL_CERT, DATABASE_SSL_KEY",
                    f"{self.database_ssl_cert}, {self.database_ssl_key}",
                )
                context.load_cert_chain(self.database_ssl_cert, self.database_ssl_key)
        except OSError as error:
            # SSLError, a subclass of OSError, means that the files could be read but are no PEM files, or do not belong together.
            why = "not in PEM form, or not a pair" if isinstance(error, tls.SSLError) else error.strerror
            raise SettingsError(f"{names}: {given}: {why}", "name files in PEM form that this user may read") from error
        return context

    def _libpq(self) -> dict[str, str]:
        files = {"sslcert": self.database_ssl_cert, "sslkey": self.database_ssl_key}
        options = {name: str(path) for name, path in files.items() if path is not None}
        if not self.database_ssl_reject_unauthorized:
            return {"sslmode": "require", **options}
        return {"sslmode": "verify-full", "sslrootcert": str(self.database_ssl_ca or "system"), **options}
