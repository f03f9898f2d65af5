"""Creates the two files of a new migration from templates. The templates follow the rules of `sql/README.md`."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from service import files
from service.errors import OperatorError

_NAME = re.compile(r"[a-z]+(-[a-z0-9]+)+\Z")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")


def write(name: str, table: str | None) -> tuple[Path, Path]:
    """Write a new migration of tenant tables: `NNNN.name.sql` and its rollback file. Returns the two paths.

    If `table` is not None, the files create and drop the table of this name; otherwise they are almost empty. Raises
    OperatorError if `name` or `table` breaks the rules, if a migration with this name exists, and if the service runs from an
    installed package instead of a checkout.
    """
    if not _NAME.match(name):
        raise OperatorError(f"'{name}' is not verb-noun", "write for example add-harbour-dues")
    if table is not None and not _TABLE.match(table):
        raise OperatorError(f"'{table}' is not a table's name", "write it in lower case, such as harbour_dues")
    folder = files.sql("migrations", "tenant")
    if files.is_packaged():
        raise OperatorError("the migrations belong to the installed package", "write new ones in a checkout of it")
    existing = sorted(path.stem for path in folder.glob("[0-9]*.sql") if not path.name.endswith(".rollback.sql"))
    taken = [id for id in existing if id.partition(".")[2] == name]
    if taken:
        raise OperatorError(f"there is {taken[0]} already", "say in the name what is new")
    last = existing[-1] if existing else ""
    number = int(last.partition(".")[0] or 0) + 1
    up = folder / f"{number:04}.{name}.sql"
    down = folder / f"{number:04}.{name}.rollback.sql"
    values = {"sentence": f"{name.replace('-', ' ').capitalize()}.", "depends": last, "table": table or ""}
    template = "table" if table else "empty"
    for path, kind in ((up, "up"), (down, "down")):
        text = files.sql("templates", f"{template}.{kind}.sql").read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(values), encoding="utf-8")
    return up, down
