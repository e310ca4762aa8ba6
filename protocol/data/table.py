"""A hospital's table, read from CSV: numbers in the schema's columns, or a refusal that says which row and column.

UTF-8, comma-separated, one header line. No message quotes a cell: it could be personal.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from protocol.data.identifiers import reason_against_cells, reason_against_name
from protocol.data.schema import DataSchema
from protocol.errors import DataError

MAX_LINE_CHARS = 65_536
MAX_ROWS = 5_000_000
SPLIT_COLUMN = "split"

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_MISSING = {"", "?", "na", "n/a", "nan", "null", "none", "-"}
_NOT_FINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}


@dataclass(frozen=True)
class Table:
    """Records by column name; the cells of the columns asked for by `also`; names of columns that were left out."""

    records: list[dict[str, float]]
    also: dict[str, list[str]]
    left_out: list[str]

    def evidence(self) -> dict[str, Any]:
        """How the records were read, for the evidence document; no name and no value."""
        return {"format": "csv", "columns_left_out": len(self.left_out), "identifier_cells_checked": True}


def read_csv(path: Path, schema: DataSchema, also: tuple[str, ...] = (), *, labelled: bool = True) -> Table:
    """Reads and checks every row. Columns that the schema does not name are left out, once they were checked as well.

    Without `labelled` the label's column may be missing; it then reads 0. `also` are further columns to hand back as
    text where they exist; they may look like identifiers, and the caller must not keep them. Raises `DataError`: an
    empty or unreadable file, missing, repeated or identifying columns, rows of another length, missing cells, text, NaN
    or infinity where numbers belong, a level that the schema lacks.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _table(path.name, file, schema, also, labelled)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is not UTF-8 (byte {error.start}).", "Save the table as UTF-8."
        ) from error
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.") from error


def _table(name: str, file: TextIO, schema: DataSchema, also: tuple[str, ...], labelled: bool) -> Table:
    lines = csv.reader(_short_lines(name, file), strict=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        wanted = schema.names if labelled or schema.label in header else schema.names[:-1]
        _check_header(name, header, schema, also, wanted)
        records: list[dict[str, float]] = []
        columns = {column: header.index(column) for column in wanted}
        others = {column: header.index(column) for column in also if column in header}
        suspects = [i for i, column in enumerate(header) if column not in also]
        kept: dict[str, list[str]] = {column: [] for column in others}
        for cells in filter(None, lines):
            row = f"{name}, row {len(records) + 1}"
            if len(cells) != len(header):
                raise DataError(f"{row}: {len(cells)} cells where the header has {len(header)}.")
            if len(records) == MAX_ROWS:
                raise DataError(f"{name} has more than {MAX_ROWS:,} rows.")
            _check_cells(row, header, cells, suspects)
            record = {column: _number(row, column, cells[index]) for column, index in columns.items()}
            record.setdefault(schema.label, 0.0)
            schema.check(record, row)
            records.append(record)
            for column, index in others.items():
                kept[column].append(cells[index].strip())
    except csv.Error as error:
        raise DataError(f"{name}, line {lines.line_num}: not CSV ({error}).") from error
    if not records:
        raise DataError(f"{name} has a header and no rows.")
    left_out = [column for column in header if column not in columns and column not in others]
    return Table(records, kept, left_out)


def _check_header(
    name: str, header: list[str], schema: DataSchema, also: tuple[str, ...], wanted: list[str]
) -> None:
    if not header or header == [""]:
        raise DataError(f"{name} is empty.", "It needs a header line with the schema's column names.")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise DataError(
            f"{name} is not separated by commas.", "Save it with commas between cells and points in numbers."
        )
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(f"{name} has the column {repeated[0]!r} twice.")
    for column in header:
        if column not in also and (reason := reason_against_name(column)):
            raise _identifier(name, column, reason)
    missing = [column for column in wanted if column not in header]
    if missing:
        raise DataError(
            f"{name} lacks {'the column' if len(missing) == 1 else 'columns'} {', '.join(map(repr, missing))}.",
            f"The schema {schema.name} asks for {', '.join(wanted)}.",
        )


def _check_cells(row: str, header: list[str], cells: list[str], suspects: list[int]) -> None:
    for index in suspects:
        if reason := reason_against_cells((cells[index],)):
            raise _identifier(row, header[index], reason)


def _identifier(where: str, column: str, reason: str) -> DataError:
    return DataError(
        f"{where}: column {column!r} looks like an identifier: {reason}.",
        "Anonymise the table first: nothing that names a person may come this far.",
    )


def _number(row: str, column: str, cell: str) -> float:
    text = cell.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    lower = text.lower()
    if lower in _MISSING:
        raise DataError(
            f"{row}, column {column!r}: missing.", "Leave incomplete rows out, or impute them first."
        )
    if lower in _NOT_FINITE:
        raise DataError(f"{row}, column {column!r}: not a finite number.")
    raise DataError(
        f"{row}, column {column!r}: text where a number belongs.", "Categories are numbers: see the schema."
    )


def _short_lines(name: str, file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE_CHARS + 1):
        number += 1
        if len(line) > MAX_LINE_CHARS:
            raise DataError(f"{name}, line {number} is longer than {MAX_LINE_CHARS:,} characters.")
        if "\x00" in line:
            raise DataError(f"{name}, line {number} holds a zero byte: not a text file.")
        yield line
