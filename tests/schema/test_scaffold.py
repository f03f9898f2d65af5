"""`quarry migrate new` refuses names that break the rules; what it writes is tried in tests/cli/test_migrate.py."""

from __future__ import annotations

import pytest

from service.errors import OperatorError
from service.schema import migration_files, scaffold


@pytest.mark.parametrize("name", ["notes", "Add-notes", "add_notes", "add-", "0006.add-notes", "../add-notes", ""])
def test_name_that_is_not_verb_noun_is_refused(name: str) -> None:
    with pytest.raises(OperatorError, match="is not verb-noun"):
        scaffold.write(name, None)


@pytest.mark.parametrize("table", ["Notes", "notes; DROP TABLE users", "1notes", "n" * 42])
def test_table_that_is_no_plain_name_is_refused(table: str) -> None:
    with pytest.raises(OperatorError, match="is not a table's name"):
        scaffold.write("add-notes", table)


def test_name_that_is_taken_is_refused_and_nothing_is_written() -> None:
    before = sorted(migration_files.sources()[1].iterdir())
    with pytest.raises(OperatorError, match=r"there is 0001\.create-users already"):
        scaffold.write("create-users", None)
    assert sorted(migration_files.sources()[1].iterdir()) == before
