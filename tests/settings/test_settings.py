"""Settings from the environment: defaults, durations, addresses, TLS, and `.env.example`."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.addresses import masked_url
from service.cli.variables import shown as shown_of
from service.settings.env_file import SettingsError
from service.settings.forms import format_duration, parse_duration
from service.settings.settings import Settings

EXAMPLE = Path(__file__).parent.parent.parent / ".env.example"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables and no .env of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    def from_environment(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings.load()

    return from_environment


@pytest.mark.parametrize(
    ("environment", "pool", "attempts", "name"),
    [
        ("development", (1, 5), 3, "quarry"),
        ("test", (1, 5), 3, "quarry_test"),
        ("staging", (2, 10), 10, "quarry"),
        ("production", (2, 10), 10, "quarry"),
    ],
)
def test_each_environment_has_defaults_that_a_variable_overrides(load, environment, pool, attempts, name) -> None:
    settings = load(ENVIRONMENT=environment)
    assert (settings.limits.minimum, settings.limits.maximum) == pool
    assert (settings.limits.connect_attempts, settings.database_name) == (attempts, name)
    assert load(DATABASE_POOL_MAX="7").limits.maximum == 7


def test_timeouts_have_the_defaults_of_the_contract(load) -> None:
    limits = load(ENVIRONMENT="production").limits
    assert (limits.idle_timeout, limits.acquire_timeout, limits.connect_timeout) == (30, 20, 10)
    assert (limits.statement_timeout, limits.query_timeout, limits.lock_timeout) == (30, 30, 5)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("250", 0.25), ("250ms", 0.25), ("5m", 300), ("1.5h", 5400), ("2 d", 172800)]
)
def test_duration_has_a_unit_or_is_milliseconds(load, text: str, seconds: float) -> None:
    assert load(DATABASE_QUERY_TIMEOUT=text).database_query_timeout == seconds


@given(st.integers(min_value=0, max_value=10**12))
def test_duration_is_printed_as_it_is_read(thousandths: int) -> None:
    assert parse_duration(format_duration(thousandths / 1000)) == pytest.approx(thousandths / 1000)


@pytest.mark.parametrize("text", ["-1", "30 seconds", "", "1e3", "s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 5m or 250"):
        parse_duration(text)


def test_lists_are_shown_in_the_form_that_they_are_read_in(load) -> None:
    names = ("TRUSTED_PROXIES", "ALLOWED_HOSTS", "CORS_ORIGINS")
    given = ("192.0.2.7, 10.0.0.0/8,::1,", "ACME.example,*.acme.example, [::1]", "https://app.example.com")
    shown = shown_of(load(**dict(zip(names, given, strict=True))))
    assert [shown[name] for name in names] == [
        "192.0.2.7/32,10.0.0.0/8,::1/128", "acme.example,*.acme.example,[::1]", "https://app.example.com",
    ]  # fmt: skip
    assert shown_of(load(**{name: str(shown[name]) for name in names})) == shown


def test_empty_variable_counts_as_missing(load) -> None:
    settings = load(DATABASE_URL="", PORT="", REDIS_URL="", DATABASE_SSL_CA="")
    assert settings == Settings()
    assert settings.is_embedded


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({"HOST": "db"}, "postgresql://quarry_app@db:5432/quarry"),
        ({"HOST": "::1", "PORT": "6432"}, "postgresql://quarry_app@[::1]:6432/quarry"),
        ({"HOST": "/run/pg"}, "postgresql://quarry_app@/quarry?host=%2Frun%2Fpg&port=5432"),
        ({"HOST": "db", "USER": "a@b", "PASSWORD": "p:/?#@%", "NAME": "n m"}, "postgresql://a%40b:p%3A%2F%3F%23%40%25@db:5432/n%20m"),
    ],
)  # fmt: skip
def test_address_is_made_of_its_parts(load, parts: dict[str, str], url: str) -> None:
    assert load(**{f"DATABASE_{name}": value for name, value in parts.items()}).serving_url() == url


def test_each_role_has_its_own_login_or_is_taken_by_the_serving_one(load) -> None:
    settings = load(DATABASE_URL="postgresql://root:x@h/q", DATABASE_PLATFORM_URL="postgresql://quarry_platform@h/q")
    assert settings.address("quarry_app").role == "quarry_app"
    assert settings.address("quarry_owner").role == "quarry_owner"
    assert settings.address("quarry_platform").role is None
    assert settings.administration().role is None


def test_tls_verifies_unless_told_not_to_and_is_the_same_for_migrations(load) -> None:
    address = load(DATABASE_URL="postgresql://u@h/q", DATABASE_SSL="true").address("quarry_app")
    assert address.ssl.check_hostname
    assert address.libpq == {"sslmode": "verify-full", "sslrootcert": "system"}
    loose = load(DATABASE_SSL_REJECT_UNAUTHORIZED="false").address("quarry_app")
    assert not loose.ssl.check_hostname
    assert loose.libpq == {"sslmode": "require"}
    assert load(DATABASE_SSL="false").address("quarry_app").ssl is None


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DATABASE_SSL_CA": "missing.pem"}, "DATABASE_SSL_CA: missing.pem: No such file"),
        ({"DATABASE_SSL_CA": "/etc/hostname"}, "not in PEM form"),
        ({"DATABASE_SSL_CERT": "c.pem", "DATABASE_SSL_KEY": "k.pem"}, "DATABASE_SSL_CERT, DATABASE_SSL_KEY: c.pem"),
        ({"DATABASE_SSL_CERT": "c.pem"}, "are given together"),
    ],
)
def test_unusable_certificate_names_variable_and_file(load, variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(DATABASE_URL="postgresql://u@h/q", DATABASE_SSL="true", **variables).address("quarry_app")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:p@h:1/q", "postgresql://u:***@h:1/q"),
        ("postgresql://u:p@p#/@h/q", "postgresql://u:***@h/q"),
        ("postgresql://h/q?user=u&PASSWORD=p", "postgresql://h/q?user=u&PASSWORD=***"),
        ("redis://:p@h", "redis://:***@h"),
        ("postgresql://u@h/q", "postgresql://u@h/q"),
        ("postgresql://u:a?b/c d%zz@h/q", "postgresql://u:***@h/q"),
        ("postgresql://u:a@b?c@h/q", "postgresql://u:***@h/q"),
        ("redis://user:12?w@host/0", "redis://user:***@host/0"),
        ("postgresql://h/q?password=a@b", "postgresql://:***@b"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(url: str, masked: str) -> None:
    assert masked_url(url) == masked


def test_repr_holds_no_secret(load) -> None:
    settings = load(DATABASE_URL="postgresql://u:hidden@h/q", REDIS_PASSWORD="hidden")
    assert "hidden" not in repr(settings) + repr(settings.address("quarry_app"))


def test_example_has_every_variable_with_its_default_and_a_comment(load) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    shown = {name: "" if value is None else str(value) for name, value in shown_of(load()).items()}
    assert given == {name: value.lower() if value in ("True", "False") else value for name, value in shown.items()}
    for before, line in itertools.pairwise(lines):
        name = line.partition("=")[0]
        if line and not line.startswith("#"):
            # The parts of one thing share a comment.
            shared = before.partition("=")[0].rpartition("_")[0] or before.partition("=")[0] == "HOST"
            assert before.startswith("#") or shared, f"{name} has no comment"


LOOSE = ("pass word", "pa%ss", "pa?ss", "pa/ss", "pa\tss", "pa%zzss")


@pytest.mark.parametrize("password", LOOSE)
@pytest.mark.parametrize(
    ("name", "url"),
    [("DATABASE_URL", "postgresql://u:{}@h/q"), ("DATABASE_BACKUP_URL", "postgresql://u:{}@h/q"),
     ("CHANGES_LISTEN_URL", "postgresql://u:{}@h:5432/q"), ("REDIS_URL", "redis://u:{}@h:6379/0")],
)  # fmt: skip
def test_address_with_a_password_that_is_not_encoded_is_refused_without_repeating_it(
    load, name: str, url: str, password: str
) -> None:
    if name == "REDIS_URL" and not set("?/") & set(password):
        # redis-py decodes what it can and leaves the rest as it is.
        assert password not in str(shown_of(load(**{name: url.format(password)})))
        return
    with pytest.raises(SettingsError, match=name) as caught:
        load(**{name: url.format(password)})
    assert password not in caught.value.message + caught.value.remedy


@pytest.mark.parametrize(
    ("parameter", "remedy"),
    [("channel_binding=require", "leave it out"), ("connect_timeout=3", "DATABASE_CONNECT_TIMEOUT"),
     ("keepalives=1", "leave it out"), ("target_session_attrs=read-write", "DATABASE_REPLICA_URLS"),
     ("gssencmode=disable", "leave it out"), ("pgbouncer=true", "leave it out"), ("schema=x", "DATABASE_SCHEMA")],
)  # fmt: skip
def test_parameter_that_not_everything_understands_is_refused_by_name(load, parameter: str, remedy: str) -> None:
    with pytest.raises(
        SettingsError, match=f"the parameter {parameter.partition('=')[0]} is not supported here: .*{remedy}"
    ):
        load(DATABASE_URL=f"postgresql://u@h/q?{parameter}")


@pytest.mark.parametrize(
    "url",
    ["postgresql://u@h/q?sslmode=verify-full&sslmode=disable", "postgresql://u@localhost/q?host=db.example",
     "postgresql://u@h/q?dbname=p", "postgresql://u@h/q?user=v", "postgresql://u@h:1/q?port=2",
     "postgresql:///q?host=a,b", "postgresql://u:a@b@h/q"],
)  # fmt: skip
def test_address_that_programs_would_read_in_two_ways_is_refused(load, url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        load(DATABASE_URL=url)


@pytest.mark.parametrize(
    ("variables", "is_refused"),
    [
        ({"DATABASE_URL": "postgresql://u@db.example/q"}, True),
        ({"DATABASE_URL": "postgresql://u@db.example/q?sslmode=require"}, True),
        ({"DATABASE_URL": "postgresql://u@db.example/q?sslmode=verify-full"}, False),
        ({"DATABASE_URL": "postgresql://u@db.example/q", "DATABASE_SSL": "true"}, False),
        ({"DATABASE_HOST": "db", "DATABASE_SSL": "true", "DATABASE_SSL_REJECT_UNAUTHORIZED": "false"}, True),
        ({"DATABASE_HOST": "10.0.0.7"}, True),
        ({"DATABASE_URL": "postgresql://u@localhost/q", "DATABASE_REPLICA_URLS": "postgresql://u@r.example/q"}, True),
        ({"DATABASE_URL": "postgresql://u@127.0.0.9/q", "DATABASE_BACKUP_URL": "postgresql://u@[::1]/q"}, False),
        ({"DATABASE_HOST": "/run/postgresql"}, False),
        ({"DATABASE_HOST": "10.0.0.7", "DATABASE_SSL_REQUIRED": "false"}, False),
    ],
)  # fmt: skip
def test_production_reaches_other_hosts_over_verified_tls_alone(
    load, variables: dict[str, str], is_refused: bool
) -> None:
    assert load(ENVIRONMENT="staging", **variables)
    if not is_refused:
        assert load(ENVIRONMENT="production", **variables)
        return
    with pytest.raises(
        SettingsError, match="another host without verified TLS, which production refuses: set DATABASE_SSL"
    ):
        load(ENVIRONMENT="production", **variables)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ENVIRONMENT="production\nPORT=1\n', "line 1"), ("A=1\nENVIRONMENT production\n'x\n", "line 2"),
        ("PORT=1\nENVIRONMENT=${NOWHERE}\n", "line 2: ${NOWHERE} names no variable"),
    ],
)  # fmt: skip
def test_env_file_that_can_not_be_read_is_no_silent_development(load, text: str, said: str) -> None:
    Path(".env").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load()


def test_env_file_may_refer_to_what_is_there(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "staging")
    Path(".env").write_text(
        "# A comment\nNAME='${not}'\nexport A=${THERE}\nENVIRONMENT=${A}\nPORT=${GONE:-8001}\n".replace(
            "NAME='${not}'\n", ""
        )
    )
    assert (load().environment, load().port) == ("staging", 8001)


def test_variables_that_others_have_set_do_not_stop_the_start(load) -> None:
    settings = load(
        REDIS_PORT="tcp://10.0.0.1:6379", DATABASE_PORT="tcp://10.0.0.2:5432", HOST="x86_64-conda-linux-gnu"
    )
    assert (settings.redis_port, settings.database_port, settings.host) == (6379, 5432, "127.0.0.1")


def test_operator_tokens_are_long_and_may_be_two(load) -> None:
    assert len(load(OPERATOR_TOKEN=f"{'a' * 16}, {'b' * 16}").operator_token) == 2
    for short in ("secret", f"{'a' * 16},b"):
        with pytest.raises(SettingsError, match="OPERATOR_TOKEN: a token has at least 16 characters"):
            load(OPERATOR_TOKEN=short)


@pytest.mark.parametrize("name", ["app", "public", "pg_catalog", "pg_x", "information_schema", "A", "a-b", ""])
def test_schema_of_somebody_else_is_refused(load, name: str) -> None:
    if name:
        with pytest.raises(SettingsError, match="DATABASE_SCHEMA: give a lower-case word"):
            load(DATABASE_SCHEMA=name)
