"""Whatever is wrong with an archive is told in one line, and nothing of it is written."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from arranging.offboarding_rows import Stock, rewrite, settings_of
from arranging.offboarding_rows import stock as stocked
from arranging.tenancy_rows import cloned
from service.embedded.server import Server
from service.errors import OperatorError
from service.offboarding import archive, importing

Held = dict[str, bytes]


@pytest.fixture(scope="module")
async def left(
    server: Server, template: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stock, Path]]:
    """A database that tenant `a` has left, for all tests that prove to write nothing."""
    path = tmp_path_factory.mktemp("archives") / "a.tar.gz"
    async with cloned(server, template) as url:
        settings = settings_of(server, url, "L")
        with psycopg.connect(url) as superuser:
            stock = await stocked(settings, superuser)
            await stock.export(path)
            await stock.erase(stock.a)
            yield stock, path


@pytest.fixture
def gone(left: tuple[Stock, Path], tmp_path: Path) -> tuple[Stock, Path]:
    """Tenant `a` is in its archive alone, which is the test's own."""
    return left[0], Path(shutil.copy(left[1], tmp_path))


async def refused(gone: tuple[Stock, Path], *, has_begun: bool = False) -> str:
    """What the import says, once it is sure that nothing was written; or even begun to be."""
    stock, path = gone
    written: list[str] = []
    before = stock.everything()
    with pytest.raises(OperatorError) as caught:
        await importing.restore(stock.settings, path, written.append)
    assert has_begun or not written
    assert stock.everything() == before
    assert "\n" not in caught.value.message
    return caught.value.message


def manifest(**values: Any) -> Callable[[Held], None]:
    def change(held: Held) -> None:
        held["manifest.json"] = json.dumps(json.loads(held["manifest.json"]) | values).encode()

    return change


def first(file: str, /, **values: Any) -> Callable[[Held], None]:
    """Other values in the first row of a file."""

    def change(held: Held) -> None:
        line, rest = held[file].split(b"\n", 1)
        held[file] = json.dumps(json.loads(line) | values).encode() + b"\n" + rest

    return change


def without(name: str) -> Callable[[Held], None]:
    return lambda held: held.pop(name) and None


def added(name: str, text: bytes = b"") -> Callable[[Held], None]:
    return lambda held: held.update({name: held.get(name, b"") + text})


def ahead(name: str) -> Callable[[Held], None]:
    def change(held: Held) -> None:
        rest = dict(held)
        held.clear()
        held.update({"manifest.json": rest.pop("manifest.json"), name: b"x"} | rest)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("manifest.json"), "holds 'niches.jsonl' where manifest.json belongs"),
        (without("users.jsonl"), "holds 'influencers.jsonl' where users.jsonl belongs"),
        (without("changes.jsonl"), "has no changes.jsonl"),
        (added("../evil", b"x"), "holds '../evil', which is not in its manifest"),
        (ahead("../evil"), "holds '../evil' where niches.jsonl belongs"),
        (added("users.jsonl", b"{}\n"), "rows in users.jsonl, its manifest says"),
        (first("changes.jsonl", ordinal=9), "holds another changes.jsonl than its manifest describes"),
        (first("tenants.jsonl", name="Other"), "holds another tenants.jsonl than its manifest describes"),
        (manifest(format=2), "has the format 2; this Quarry reads 1"),
        (manifest(tenant="x"), "has a manifest that can't be read: "),
        (manifest(number=-1), "has a manifest that can't be read: "),
        (manifest(number=2**63), "has a manifest that can't be read: "),
        (manifest(migrations=["9999.later"]), "migrations that this database does not have: 9999.later"),
        (manifest(tables=[]), "the archive has other tables than this database"),
        (added("manifest.json", b"}"), "has a manifest that can't be read: it is not JSON"),
    ],
)
async def test_a_changed_archive_is_refused(
    gone: tuple[Stock, Path], change: Callable[[Held], None], said: str
) -> None:
    rewrite(gone[1], change)
    assert said in await refused(gone)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (first("users.jsonl", id="x"), "users.jsonl, line 1: it can't be read"),
        (first("users.jsonl", role="king"), "users.jsonl: the database refuses a row"),
        (first("users.jsonl", email=1), "users.jsonl, line 1: it can't be read"),
        (first("users.jsonl", email="\ud800"), "users.jsonl, line 1: it can't be read"),
        (first("users.jsonl", extra=1), "users.jsonl, line 1: it has other keys than its manifest says"),
        (first("tenants.jsonl", id="00000000-0000-0000-0000-00000000000c"), "is not of the tenant that the manifest names"),
        (first("brand_niches.jsonl", niche_id="x"), "line 1: it refers to 'x', which the archive does not have"),
        (first("campaigns.jsonl", owner_id="00000000-0000-0000-0000-00000000000b"), "campaigns.jsonl: the database refuses"),
        (added("contents.jsonl", b"[" * 100_000 + b"\n"), "it can't be read"),
        (added("contents.jsonl", b"[]"), "the line does not end"),
        (added("users.jsonl", b"\xff\n"), "it can't be read"),
        (lambda held: held.update({"sign_in_failures.jsonl": held["sign_in_failures.jsonl"] * 2}), "refuses a row"),
    ],
)  # fmt: skip
async def test_rows_that_do_not_fit_undo_the_whole_import(
    gone: tuple[Stock, Path], change: Callable[[Held], None], said: str
) -> None:
    rewrite(gone[1], change, honest=True)
    assert said in await refused(gone, has_begun=True)


async def test_a_column_that_is_not_known_here_is_refused(gone: tuple[Stock, Path]) -> None:
    def change(held: Held) -> None:
        tables = json.loads(held["manifest.json"])["tables"]
        tables[2]["columns"].append("nickname")
        manifest(tables=tables)(held)

    rewrite(gone[1], change)
    assert "other columns in users than this database" in await refused(gone)


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def flipped_at_the_end(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)


def linked(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)


@pytest.mark.parametrize(
    "damage",
    [
        shortened, flipped, flipped_at_the_end, linked,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not an archive"),
        lambda path: path.write_bytes(gzip.compress(b"not an archive")),
        lambda path: path.write_bytes(gzip.decompress(path.read_bytes())),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.unlink(),
    ],
)  # fmt: skip
async def test_a_damaged_file_is_refused(gone: tuple[Stock, Path], damage: Callable[[Path], None]) -> None:
    damage(gone[1])
    assert str(gone[1]) in await refused(gone)


async def test_a_line_has_an_end_in_sight(gone: tuple[Stock, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_LONGEST_LINE", 100)
    assert "the line does not end" in await refused(gone)


async def test_a_tenant_that_is_here_is_not_imported_again(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    await stock.export(path)
    assert f"this tenant is here: {stock.domain(stock.a)}" in await refused((stock, path))


async def test_a_domain_that_is_taken_is_not_given_again(gone: tuple[Stock, Path]) -> None:
    stock, path = gone
    rewrite(path, manifest(domain=stock.domain(stock.b)))
    assert "another tenant with this domain is here" in await refused(gone)
    # In the rows alone: the import has begun when the database refuses it.
    rewrite(path, manifest(domain="free.example"))
    rewrite(path, first("tenants.jsonl", domain=stock.domain(stock.b)), honest=True)
    assert "tenants.jsonl, line 1: the domain is not the one that the manifest names" in await refused(
        gone, has_begun=True
    )


async def test_a_hash_that_would_keep_argon2_busy_is_refused(gone: tuple[Stock, Path]) -> None:
    costly = "$argon2id$v=19$m=2097152,t=100,p=8$c29tZXNhbHQ$RdescudvJCsgt3ub+b2dWRWJTmaaJObG"
    rewrite(gone[1], first("users.jsonl", password_hash=costly), honest=True)
    assert "would cost too much to compare" in await refused(gone, has_begun=True)


async def test_a_header_that_claims_gigabytes_is_not_read_into_memory(gone: tuple[Stock, Path]) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 4 * 1024**3
    gone[1].write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + b"0" * 1024))
    assert "a header is too large" in await refused(gone)


async def test_a_failed_export_leaves_nothing_behind(stock: Stock, tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        await stock.export(path)
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208  what it yields would be awaited
