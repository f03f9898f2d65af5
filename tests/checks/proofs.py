"""A prover over the schema of the generated statements, and few rows that show what it has to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checks.generated_data import READER
from service.checks.proofs.catalog import Catalog
from service.checks.proofs.describing import Described, describing

ROWS = """
CREATE TABLE gen.word (word text PRIMARY KEY, other text);
CREATE TABLE gen.moment (local timestamp PRIMARY KEY);
CREATE TYPE gen.single AS (only_one int);
CREATE FUNCTION gen.many(int) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 10::bigint';
INSERT INTO gen.person VALUES (1, 'ann', NULL, 10, '2024-01-01 00:00Z', true, NULL, NULL),
  (2, 'bob', 1, NULL, NULL, true, 'b', true), (3, 'bob', 1, NULL, NULL, false, NULL, false);
INSERT INTO gen.item VALUES (1, 1, 'x', 1.0, NULL, NULL), (2, 1, 'x', 1.00, 2.0, '2024-01-02 00:00Z'),
  (3, NULL, 'y', 2.0, 1.0, NULL), (4, 1, 'x', 1.000, 4, '2024-01-03 00:00Z'), (5, NULL, 'y', 2, NULL, NULL),
  (7, NULL, 'z', 3, 3, NULL);
INSERT INTO gen.tag VALUES (1, 'red', NULL, NULL), (1, 'blue', 2, 'n'), (2, 'red', 2, 'n');
INSERT INTO gen.config VALUES (true, NULL, 1, NULL);
INSERT INTO gen.secret VALUES (1, 1, 'one', NULL), (1, 2, NULL, 5), (2, 1, 'other', 1);
INSERT INTO gen.word VALUES ('a', 'b'), ('b', 'a'), ('B', 'A');
INSERT INTO gen.moment VALUES ('2024-03-10 02:30'), ('2024-03-10 03:30');
GRANT ALL ON ALL TABLES IN SCHEMA gen TO quarry_app;
"""


@dataclass(frozen=True)
class Prover:
    """Prepares statements, and runs them on rows that stay as they are."""

    connection: Any
    catalog: Catalog

    async def describe(self, text: str) -> Described:
        """A statement's tree, as the one whom policies bind sees it."""
        await self.connection.execute(f"SET ROLE {READER}")
        async with describing(self.connection, self.catalog) as describer:
            return await describer.describe(text)

    async def answers(self, text: str, values: Sequence[Any] = (), set_up: str = "") -> list[Any]:
        """What it answers."""
        change = self.connection.transaction()
        await change.start()
        try:
            await self.connection.execute(f"SET ROLE {READER}; {set_up}")
            return await self.connection.fetch(text, *values)
        finally:
            await change.rollback()
