"""Backups: taken by pg_dump at one moment, proved by restoring them, put in place by a renaming.

tools.py finds and runs the programs, directory.py keeps the files, manifests.py says what is in them, contents.py asks a
database the same, taking.py writes one, restoring.py fills a database from one, swapping.py puts that in place.
"""
