"""Backups. A backup consists of two files: a dump, made by pg_dump, and a manifest that describes the dump's contents.

taking.py writes a backup. restoring.py restores a backup into a new database, and compares this database with the manifest.
swapping.py then renames databases, so that the new database replaces the present one. tools.py finds and runs pg_dump and
pg_restore, directory.py manages the files, encryption.py encrypts dumps, manifests.py reads and writes manifests, and
contents.py reads a database's tables, numbers of rows, migrations and epoch, which a manifest records.
"""
