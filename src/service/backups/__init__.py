"""Backups. A backup is a dump, made by pg_dump, and a manifest that describes its contents.

taking.py writes a backup. restoring.py restores a backup into a new database, and compares this database with the manifest.
swapping.py then renames databases, so that the new database replaces the one in service. tools.py finds and runs pg_dump and
pg_restore, directory.py manages the files, encryption.py encrypts dumps, manifests.py reads and writes manifests, and
contents.py reads from a database what a manifest describes.
"""
