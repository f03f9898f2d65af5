"""Backups: pg_dump takes them, restoring verifies them, and renaming puts a restored database in service.

tools.py finds and runs pg_dump and pg_restore, directory.py manages the files, manifests.py describes a backup's contents,
contents.py reads the same from a database, taking.py writes a backup, restoring.py restores one into a new database, and
swapping.py gives the new database the name of the one in service.
"""
