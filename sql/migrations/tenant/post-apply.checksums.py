"""After every apply, whoever ran it: remember what the applied files looked like, so that a later edit is noticed."""

import hashlib
from pathlib import Path

from yoyo import step


def record(connection):
    files = {path.stem: path for path in Path(__file__).parent.parent.glob("*/*.sql")}
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS _migration_checksums ("
        " migration_id text NOT NULL, applied_at_utc timestamp NOT NULL, checksum text NOT NULL,"
        " CONSTRAINT _migration_checksums_pkey PRIMARY KEY (migration_id, applied_at_utc))"
    )
    cursor.execute(
        "DELETE FROM _migration_checksums AS c WHERE NOT EXISTS (SELECT FROM _yoyo_migration AS m"
        " WHERE m.migration_id = c.migration_id AND m.applied_at_utc = c.applied_at_utc)"
    )
    cursor.execute("SELECT migration_id, applied_at_utc FROM _yoyo_migration")
    for migration_id, applied_at in cursor.fetchall():
        if migration_id in files:
            checksum = hashlib.sha256(files[migration_id].read_bytes().replace(b"\r\n", b"\n")).hexdigest()
            cursor.execute(
                "INSERT INTO _migration_checksums (migration_id, applied_at_utc, checksum)"
                " VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                (migration_id, applied_at, checksum),
            )


step(record)
