"""The keys of personal data: what they seal, what they refuse to open, and where they are kept."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.personal import keyring
from service.personal.keyring import Keyring, KeyringError, Undecipherable
from service.settings.settings import Settings

ACME, GLOBEX = UUID(int=1), UUID(int=2)
SECRET, OTHER = bytes(range(32)), bytes(range(32, 64))
KEYS = Keyring("row-1", {"row-1": SECRET, "k0": OTHER}, b"i" * 32)
EARLIER = Keyring("k0", KEYS.keys, KEYS.index_key)
JO, MAX = UUID(int=3), UUID(int=4)
SEALED = KEYS.seal("jo@acme.example", ACME, JO, "users.email")


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def settings(home: Path, **values: object) -> Settings:
    return Settings(_env_file=None, quarry_home=home, **values)  # type: ignore[arg-type, call-arg]


@given(st.text())
def test_what_was_sealed_opens_as_it_was_and_twice_looks_different(plain: str) -> None:
    first, second = (KEYS.seal(plain, ACME, JO, "users.email") for _ in range(2))
    assert KEYS.open(first, ACME, JO, "users.email") == KEYS.open(second, ACME, JO, "users.email") == plain
    assert first != second
    assert first.startswith(KEYS.prefix)


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_a_flipped_bit_is_undecipherable(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Undecipherable):
        KEYS.open(bytes(flipped), ACME, JO, "users.email")


@given(st.one_of(st.binary(max_size=80), st.integers(0, len(SEALED) - 1).map(lambda size: SEALED[:size])))
def test_whatever_else_is_undecipherable_and_nothing_worse(value: bytes) -> None:
    with pytest.raises(Undecipherable):
        KEYS.open(value, ACME, JO, "users.email")


@pytest.mark.parametrize(
    ("tenant", "row", "column"),
    [(GLOBEX, JO, "users.email"), (ACME, MAX, "users.email"), (ACME, JO, "brands.email")],
)
def test_a_value_that_was_moved_is_undecipherable(tenant: UUID, row: UUID, column: str) -> None:
    with pytest.raises(Undecipherable):
        KEYS.open(SEALED, tenant, row, column)


def test_a_key_of_an_earlier_release_binds_its_values_to_tenant_and_column() -> None:
    earlier = EARLIER.seal("jo@acme.example", ACME, JO, "users.email")
    assert KEYS.open(earlier, ACME, MAX, "users.email") == "jo@acme.example"
    with pytest.raises(Undecipherable):
        KEYS.open(earlier, GLOBEX, JO, "users.email")


def test_a_key_that_is_gone_and_plain_text_that_waits_are_undecipherable() -> None:
    for value in (
        Keyring("row-9", {"row-9": SECRET}, b"i" * 32).seal("x", ACME, JO, "users.email"),
        b"\x00jo@acme.example",
    ):
        with pytest.raises(Undecipherable):
            KEYS.open(value, ACME, JO, "users.email")


def test_what_waits_to_be_sealed_is_read_where_that_is_wanted_alone() -> None:
    for value, plain in ((SEALED, "jo@acme.example"), (b"\x00jo", "jo")):
        assert KEYS.open_waiting(value, ACME, JO, "users.email") == plain
    for value in (b"", b"\x00\xff", SEALED[:-1], b"\x02jo"):
        with pytest.raises(Undecipherable):
            KEYS.open_waiting(value, ACME, JO, "users.email")


def test_hash_of_a_password_is_opened_for_its_user_alone() -> None:
    kept = KEYS.seal_hash("$argon2id$", ACME, JO)
    assert (KEYS.open_hash(kept, ACME, JO), kept.startswith(KEYS.hash_prefix(KEYS.prefix))) == ("$argon2id$", True)
    for moved in ((ACME, MAX), (GLOBEX, JO)):
        with pytest.raises(Undecipherable):
            KEYS.open_hash(kept, *moved)


def test_mac_is_of_its_tenant_and_of_each_fact_where_it_stands() -> None:
    mac = KEYS.mac(ACME, (b"session", b"h"))
    assert (len(mac), KEYS.verifies(mac, ACME, (b"session", b"h"))) == (32, True)
    others = (GLOBEX, (b"session", b"h")), (ACME, (b"session", b"g")), (ACME, (b"sessionh", b"")), (ACME, (b"session",))
    assert [KEYS.verifies(mac, tenant, facts) for tenant, facts in others] == [False] * 4
    assert not replace(KEYS, index_key=b"o" * 32).verifies(mac, ACME, (b"session", b"h"))


def test_hashes_that_nothing_vouches_for_count_while_a_key_of_an_earlier_release_is_in_use() -> None:
    alone = Keyring("row-1", {"row-1": SECRET}, KEYS.index_key)
    assert [each.verifies(None, ACME, (b"h",)) for each in (alone, KEYS, EARLIER)] == [False, True, True]
    assert not EARLIER.verifies(bytes(32), ACME, (b"h",))
    assert (KEYS.open_hash("$argon2id$", ACME, JO), EARLIER.seal_hash("$argon2id$", ACME, JO)) == ("$argon2id$",) * 2
    with pytest.raises(Undecipherable):
        alone.open_hash("$argon2id$", ACME, JO)


def test_an_index_is_the_same_for_the_same_text_tenant_and_column_alone() -> None:
    index = KEYS.index("jo", ACME, "users.email")
    assert index == Keyring("k0", {"k0": OTHER}, KEYS.index_key).index("jo", ACME, "users.email")
    others = {
        KEYS.index("Jo", ACME, "users.email"), KEYS.index("jo", GLOBEX, "users.email"),
        KEYS.index("jo", ACME, "brands.email"), Keyring("row-1", KEYS.keys, b"j" * 32).index("jo", ACME, "users.email"),
    }  # fmt: skip
    assert (len(index), len(others | {index})) == (32, 5)


@pytest.mark.parametrize(
    ("keys", "index", "variable"),
    [
        ("", text(OTHER), "PII_KEYS"),
        (text(SECRET), text(OTHER), "PII_KEYS"),
        (f"a:{text(SECRET)},a:{text(OTHER)}", text(OTHER), "PII_KEYS"),
        (f"a:{text(SECRET)},", text(OTHER), "PII_KEYS"),
        (f"ä:{text(SECRET)}", text(OTHER), "PII_KEYS"),
        (f"a:{text(SECRET)[:-2]}", text(OTHER), "PII_KEYS"),
        (f"a:{text(SECRET)}", text(OTHER)[:-2], "PII_INDEX_KEY"),
        (f"a:{text(SECRET)}", f"é{text(OTHER)}", "PII_INDEX_KEY"),
        (f"a:{text(SECRET)}", "", "PII_INDEX_KEY"),
    ],
)
def test_a_mistake_in_the_keys_names_the_variable_and_repeats_no_key(keys: str, index: str, variable: str) -> None:
    with pytest.raises(KeyringError) as caught:
        keyring.parse(keys, index)
    said = f"{caught.value.message} {caught.value.remedy}"
    assert f"{variable} can't be read" in said
    assert text(SECRET)[:20] not in said
    assert text(OTHER)[:20] not in said


def test_fresh_keys_are_read_in_their_order_in_either_alphabet_and_hide_in_a_repr() -> None:
    first, second, index = keyring.fresh_key(), keyring.fresh_key(), keyring.fresh_index_key()
    made = keyring.parse(f"{first}, {second.replace('+', '-').replace('/', '_').rstrip('=')}", index)
    ids = [each.partition(":")[0] for each in (first, second)]
    assert [made.current, *made.keys] == [ids[0], *ids]
    assert text(made.keys[ids[1]]) == second.partition(":")[2]
    assert repr(made) == f"Keyring(current='{ids[0]}')"


@pytest.mark.parametrize("given", [{}, {"pii_keys": SecretStr(f"a:{text(SECRET)}")}])
def test_production_refuses_to_make_keys_and_half_of_them(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(KeyringError) as caught:
        keyring.load(settings(tmp_path / "home", environment="production", **given))
    assert "`quarry pii key`" in caught.value.remedy
    assert not (tmp_path / "home").exists()


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    loaded = settings(tmp_path / "home")
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(keyring.load, [loaded] * 8))
    assert made == [keyring.load(loaded)] * 8
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["pii.keys"]
    assert (tmp_path / "home" / "pii.keys").stat().st_mode & 0o777 == 0o600


def test_file_of_keys_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pii.keys").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyringError, match=r"pii\.keys can't be read"):
        keyring.load(settings(tmp_path))


def test_processes_that_start_at_once_have_the_same_keys(tmp_path: Path) -> None:
    program = (
        "from service.settings import settings; from service.personal import keyring;"
        "print(keyring.load(settings.Settings(_env_file=None)).current)"
    )
    environment = {"PATH": os.environ["PATH"], "QUARRY_HOME": str(tmp_path / "home")}
    started = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, text=True, stdout=subprocess.PIPE)
        for _ in range(8)
    ]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0] * 8
    assert len(said) == 1
    assert len(said.pop().strip()) == len("row-") + 8


def test_a_key_put_in_front_seals_and_those_behind_it_open(tmp_path: Path) -> None:
    loaded = settings(tmp_path)
    assert not keyring.prepend(loaded, keyring.fresh_key())
    before = keyring.load(loaded)
    fresh = [keyring.fresh_key() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda key: keyring.prepend(loaded, key), fresh))
    after = keyring.load(loaded)
    assert set(after.keys) == {before.current, *(key.partition(":")[0] for key in fresh)}
    assert after.current != before.current
    assert after.index_key == before.index_key
    assert after.open(before.seal("jo", ACME, JO, "users.email"), ACME, JO, "users.email") == "jo"
    assert (tmp_path / "pii.keys").stat().st_mode & 0o777 == 0o600


def test_keys_that_are_given_are_not_kept_in_the_directory(tmp_path: Path) -> None:
    given = {"pii_keys": SecretStr(f"a:{text(SECRET)}"), "pii_index_key": SecretStr(text(OTHER))}
    loaded = settings(tmp_path, **given)
    assert keyring.load(loaded).keys == {"a": SECRET}
    assert not keyring.prepend(loaded, keyring.fresh_key())
    assert list(tmp_path.iterdir()) == []
