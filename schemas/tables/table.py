"""The declaration of a table: its key, its columns and where rows of a sample lead."""

from dataclasses import dataclass

import pyarrow as pa

from schemas.fields import FIELD, Field


@dataclass(frozen=True)
class Table:
    """One table: rows kept by a stage, and beside them the reject rows.

    Attributes:
        name: a singular noun; the folder under the build folder.
        key: columns that name a row, unique over the table.
        columns: the other columns.
        meaning: the meaning of one row.
        reject_columns: further columns of the reject rows, null where they do not apply.
        leads_to: columns that are keys of other tables: by them a sample's rows are found there.
        found_by: columns with values of a key that samples lead to, and that key: by them `explain` finds a sample's
            rows of this table, and of others with the same first key column.
        nullable: columns that may be null in this table, although their field does not allow it.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    meaning: str
    reject_columns: tuple[str, ...] = ()
    leads_to: tuple[str, ...] = ()
    found_by: tuple[tuple[str, str], ...] = ()
    nullable: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[Field, ...]:
        """The declared fields, key first."""
        return tuple(FIELD[name] for name in (*self.key, *self.columns))

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the kept rows; columns that may hold nulls are nullable, never those of the key."""
        may_lack = {f.name for f in self.fields if f.is_nullable} | set(self.nullable)
        return pa.schema([pa.field(f.name, f.type, nullable=f.name in may_lack - set(self.key)) for f in self.fields])

    @property
    def reject_schema(self) -> pa.Schema:
        """The Arrow schema of the reject rows: the key, the reason, the detail, and the table's own reject columns."""
        fixed = [pa.field(n, FIELD[n].type, nullable=False) for n in (*self.key, "reason", "detail")]
        return pa.schema([*fixed, *(pa.field(n, FIELD[n].type) for n in self.reject_columns)])
