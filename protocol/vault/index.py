"""What is in the batches, without the pixels: in memory, asked by SQL."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from protocol.errors import InvalidInput, VaultError
from protocol.vault.batches import INDEX_COLUMNS, SCHEMA, Batches
from protocol.vault.instances import Row

log = logging.getLogger(__name__)

# No file, no network, no extension, nothing spilled to the disk, and no way to change that.
_CLOSED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
    "memory_limit": "1GB",
    "threads": "1",
    "lock_configuration": "true",
}
_HINT = "For example: modality = 'US' AND body_part = 'BREAST' AND label = 1."
_EMPTY = pa.schema(
    [SCHEMA.field(name) for name in INDEX_COLUMNS]
    + [pa.field("group", pa.int32()), pa.field("batch", pa.int32())]
).empty_table()
# Of the hour, and no functions by name.
_HOURS = {"current_time", "current_timestamp", "localtime", "localtimestamp"}
#: What a condition may name.
NAMES = [*(name for name in INDEX_COLUMNS if name not in ("report", "sha256")), "batch", "label"]


class Place(NamedTuple):
    """Where an instance lies. ``sha256``: hexadecimal, of its DICOM file."""

    batch: int
    group: int
    patient: str
    sha256: str


class Index:
    """The rows of all batches, each file read once for as long as it stays as it is. For several threads."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._lock = threading.RLock()
        self._tables: dict[int, tuple[tuple[int, ...], pa.Table]] = {}
        self._places: dict[str, Place] = {}
        self._patients: dict[str, set[str]] = {}
        self._broken: dict[int, tuple[tuple[int, ...], VaultError]] = {}

    def refresh(self) -> None:
        """Looks which files are new. One that does not open is left out, and said in the log: see `check`. Raises
        VaultError."""
        with self._lock:
            states = self._batches.states()
            for number, state in states.items():
                if number not in self._tables or self._tables[number][0] != state:
                    self._take(number, state)
            for number in self._tables.keys() - states.keys():
                self._forget(number)
            for number in self._broken.keys() - states.keys():
                del self._broken[number]

    @property
    def is_whole(self) -> bool:
        """Whether each batch opened at the last refresh."""
        return not self._broken

    def check(self) -> None:
        """Raises VaultError when a batch did not open at the last refresh."""
        with self._lock:
            for _, error in self._broken.values():
                raise error

    def find(self, uid: str) -> Place | None:
        """Where an instance was at the last refresh."""
        with self._lock:
            return self._places.get(uid)

    def uids(self, patients: Iterable[str]) -> dict[int, list[str]]:
        """Instances of some patients, by batch, as of the last refresh."""
        with self._lock:
            found: dict[int, list[str]] = {}
            for patient in patients:
                for uid in self._patients.get(patient, ()):
                    found.setdefault(self._places[uid].batch, []).append(uid)
            return found

    def query(self, where: str, labels: Mapping[str, int], withdrawn: Collection[str]) -> list[Row]:
        """Rows for which the SQL condition `where` holds (all, when it is empty), in the order of batches, but for
        withdrawn patients. Raises InvalidInput for a condition that is none, and VaultError when a batch is damaged."""
        self.refresh()
        self.check()
        with self._lock:
            tables = [
                table.append_column("batch", pa.array([number] * len(table), pa.int32()))
                for number, (_, table) in sorted(self._tables.items())
            ]
        if not tables:
            tables = [_EMPTY]
        table = pa.concat_tables(tables)
        known = [labels.get(uid) for uid in table["uid"].to_pylist()]
        table = table.append_column("label", pa.array(known, pa.int32()))
        if withdrawn:
            kept = [patient not in withdrawn for patient in table["patient"].to_pylist()]
            table = table.filter(pa.array(kept, pa.bool_()))
        chosen = table.take(_chosen(table, where)) if where.strip() else table
        return [_row(each) for each in chosen.drop_columns(["group"]).to_pylist()]

    def _take(self, number: int, state: tuple[int, ...]) -> None:
        try:
            table = self._batches.index(number)
        except FileNotFoundError:
            return
        except VaultError as error:
            self._forget(number)
            if number not in self._broken or self._broken[number][0] != state:
                log.warning("%s", error)
            self._broken[number] = (state, error)
            return
        self._broken.pop(number, None)
        self._forget(number)
        self._tables[number] = (state, table)
        columns = (table[name].to_pylist() for name in ("uid", "group", "patient", "sha256"))
        for uid, group, patient, digest in zip(*columns, strict=True):
            self._places[uid] = Place(number, group, patient, digest)
            self._patients.setdefault(patient, set()).add(uid)

    def _forget(self, number: int) -> None:
        if number in self._tables:
            for uid in self._tables.pop(number)[1]["uid"].to_pylist():
                # One that came again while its batch was damaged is in two of them.
                if (place := self._places.get(uid)) is not None and place.batch == number:
                    self._patients[place.patient].discard(uid)
                    del self._places[uid]


def _chosen(table: pa.Table, where: str) -> pa.Array:
    """Numbers of the rows for which a condition holds."""
    asked = table.select(NAMES).append_column("_place", pa.array(range(len(table)), pa.int64()))
    connection = duckdb.connect(":memory:", config=_CLOSED)
    try:
        _check_repeatable(connection, where)
        connection.register("instances", asked)
        # SQLExpression takes one expression and nothing beside it: no second statement, no end of the parenthesis.
        held = connection.table("instances").filter(duckdb.SQLExpression(where))
        places = sorted(place for (place,) in held.project("_place").fetchall())
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        said = str(error).splitlines()[0]
        raise InvalidInput(f"The condition is not one: {said}", _HINT) from error
    except duckdb.PermissionException as error:
        raise InvalidInput("A condition looks at the index alone, at no file.", _HINT) from error
    except duckdb.Error as error:
        # Its words may quote what is in a row.
        raise InvalidInput(f"The condition does not work ({type(error).__name__}).", _HINT) from None
    finally:
        connection.close()
    return pa.array(places, pa.int64())


def _check_repeatable(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Raises InvalidInput for a condition that holds today and not tomorrow, or by chance: a cohort is of the rows
    alone."""
    stable = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    changing = {name for (name,) in connection.execute(stable).fetchall()} | _HOURS
    parsed = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {where}"]).fetchall()[0][0]
    if named := changing.intersection(_names(json.loads(parsed))):
        raise InvalidInput(f"The condition asks for {min(named)}, which is another each time.", _HINT)


def _names(parsed: Any) -> Iterator[str]:
    """Functions and columns in duckdb's syntax tree, in small letters."""
    if isinstance(parsed, dict):
        found = [parsed.get("function_name"), *parsed.get("column_names", ())]
        yield from (name.lower() for name in found if name)
    if isinstance(parsed, dict | list):
        for each in parsed.values() if isinstance(parsed, dict) else parsed:
            yield from _names(each)


def _row(found: dict[str, Any]) -> Row:
    return Row(**{**found, "sha256": bytes.fromhex(found["sha256"]), "report": json.loads(found["report"])})
