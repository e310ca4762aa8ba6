"""The files of the vault's records: encrypted Parquet, named by a manifest.

    records/NNNNNN-RANDOM.parquet    resources, sorted by patient and key; SCHEMA says which columns
    records/manifest.sealed          which files count, and who withdrew: replaced in one step, and that is a commit
    records/lock                     whoever writes holds it

A file is written once, and no name is used twice: a reader that has opened the files of one manifest keeps them,
whatever others write. Files that the manifest does not name are of a writer at work, or of one that was killed. There
is a manifest before there is any other file: where it is not, it was lost.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from protocol.errors import VaultError
from protocol.vault import disk, parquet
from protocol.vault.kept import Kept
from protocol.vault.merging import Place, place
from protocol.vault.persons import Withdrawn
from protocol.vault.sealed import Sealer

_Open = TypeVar("_Open")

MANIFEST = "manifest.sealed"
KEY_BYTES = 16
#: ``persons``: the people that the resource refers to, as "Patient/id"; see `persons.named`.
SCHEMA = pa.schema(
    [
        ("key", pa.binary(KEY_BYTES)), ("type", pa.string()), ("patient", pa.string()),
        ("aliases", pa.list_(pa.string())), ("sha256", pa.binary(32)), ("persons", pa.list_(pa.string())),
        ("content", pa.large_binary()),
    ]
)  # fmt: skip
HEAD_COLUMNS = [name for name in SCHEMA.names if name != "content"]
#: What a row takes beside its content, about.
ROW_BYTES = 128
#: A file holds about so much before compression: what the withdrawal of one patient writes anew.
FILE_BYTES = 256 << 20


class Entry(NamedTuple):
    """A file, as the manifest names it. ``size``: bytes before compression, about."""

    name: str
    resources: int
    size: int
    first: Place
    last: Place


@dataclass(frozen=True)
class Manifest:
    """Which files count. ``number``: of the last commit. ``withdrawn``: by pseudonym. ``rules``: digests, in hex, of
    all by which resources were de-identified."""

    number: int = 0
    files: tuple[Entry, ...] = ()
    withdrawn: dict[str, Withdrawn] = field(default_factory=dict)
    rules: tuple[str, ...] = ()

    @property
    def resources(self) -> int:
        return sum(entry.resources for entry in self.files)

    @classmethod
    def of(cls, value: dict[str, Any]) -> Self:
        """From what `to_dict` gave; empty from an empty object."""
        return cls(
            value.get("number", 0),
            tuple(
                Entry(name, resources, size, *((patient, bytes.fromhex(key)) for patient, key in ends))
                for name, resources, size, *ends in value.get("files", ())
            ),
            {
                patient: Withdrawn(
                    **{name: tuple(v) if isinstance(v, list) else v for name, v in each.items()}
                )
                for patient, each in value.get("withdrawn", {}).items()
            },
            tuple(value.get("rules", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "files": [
                [entry.name, entry.resources, entry.size, *([end[0], end[1].hex()] for end in entry[3:])]
                for entry in self.files
            ],
            "withdrawn": {patient: vars(each) for patient, each in self.withdrawn.items()},
            "rules": list(self.rules),
        }

    def next(
        self, files: Iterable[Entry], withdrawn: dict[str, Withdrawn] | None = None, rules: str = ""
    ) -> Manifest:
        """The one that follows."""
        noted = {**self.withdrawn, **(withdrawn or {})}
        known = tuple(sorted({*self.rules, *filter(None, [rules])}))
        return replace(self, number=self.number + 1, files=tuple(files), withdrawn=noted, rules=known)


class Stored:
    """A file that is open, and stays as it is while it is."""

    def __init__(self, entry: Entry, path: Path, file: pq.ParquetFile) -> None:
        self.entry, self._path, self._file = entry, path, file

    def heads(self) -> Iterator[pa.Table]:
        """All columns but the content, a row group at a time. Raises VaultError."""
        for group in range(self._file.metadata.num_row_groups):
            yield self._read(group, HEAD_COLUMNS)

    def tables(self, wanted: Callable[[pa.Table], pa.Array]) -> Iterator[pa.Table]:
        """Rows with all columns, a row group at a time. `wanted` says by the heads, as bool[n], which. Raises
        VaultError."""
        for group in range(self._file.metadata.num_row_groups):
            head = self._read(group, HEAD_COLUMNS)
            chosen = wanted(head)
            count = pc.sum(chosen).as_py() or 0
            if count:
                table = head.append_column(SCHEMA.field("content"), self._read(group, ["content"])["content"])
                yield table if count == len(table) else table.filter(chosen)

    def _read(self, group: int, columns: list[str]) -> pa.Table:
        with parquet.intact(self._path):
            return self._file.read_row_group(group, columns=columns, use_threads=False).select(columns)


class RecordFiles:
    """The files in a folder, which need not be there yet."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self.folder, self._sealer = folder, sealer
        self._kept = Kept(folder / MANIFEST, sealer)

    def manifest(self) -> Manifest:
        """The manifest as it is now, empty where nothing was ever written. Raises VaultError where it was lost."""
        return Manifest.of(self._value())

    def begin(self) -> None:
        """Before the first file of all: an empty manifest, so that files without one are known as damage. Raises
        VaultError, and `OSError`."""
        if not self._value():
            self._kept.value = Manifest().to_dict()

    def commit(self, manifest: Manifest) -> None:
        """From now on this is what counts. What it does not name goes. Raises `OSError`."""
        self._kept.value = manifest.to_dict()
        self.sweep(manifest)

    def sweep(self, manifest: Manifest) -> None:
        """Removes files that a manifest does not name, for whoever holds the lock. Raises `OSError`."""
        named = {entry.name for entry in manifest.files}
        disk.remove(
            path
            for pattern in ("*.parquet", ".*.part")
            for path in self.folder.glob(pattern)
            if path.name not in named
        )

    def write(self, number: int, tables: Iterable[pa.Table], group_bytes: int) -> list[Entry]:
        """Writes sorted rows to as many files as they need; what they are called. Raises `OSError`."""
        entries: list[Entry] = []
        groups = _grouped(tables, group_bytes)
        todo = next(groups, None)
        while todo is not None:
            name = f"{number:06d}-{secrets.token_hex(8)}.parquet"
            first, rows, size, count = place(todo.table, 0), 0, 0, 0
            path = self.folder / name
            with parquet.writing(path, SCHEMA, self._key(name), statistics=["patient"]) as writer:
                while todo and count < parquet.MAX_GROUPS and (not count or size + todo.size <= FILE_BYTES):
                    writer.write_table(todo.table, row_group_size=len(todo.table))
                    rows, size, count = rows + len(todo.table), size + todo.size, count + 1
                    last = place(todo.table, len(todo.table) - 1)
                    todo = next(groups, None)
            entries.append(Entry(name, rows, size, first, last))
        return entries

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[Stored]:
        """A file. Raises VaultError, and FileNotFoundError."""
        path = self.folder / entry.name
        with parquet.open_file(path, SCHEMA, self._key(entry.name)) as file:
            if file.metadata.num_rows != entry.resources:
                raise VaultError(f"{path} has another number of rows than it had.", parquet.RESTORE)
            yield Stored(entry, path, file)

    @contextmanager
    def snapshot(self) -> Iterator[tuple[Manifest, list[Stored]]]:
        """The manifest as it is now, and its files open: they stay what they are, whatever others write meanwhile.
        Raises VaultError."""
        with ExitStack() as stack:
            yield self._opened_all(stack, self.opened)

    @contextmanager
    def as_they_are(self) -> Iterator[dict[str, BinaryIO]]:
        """The manifest and the files that it names, by name: open, encrypted, all of one moment. Raises VaultError."""

        def opened(entry: Entry) -> BinaryIO:
            return (self.folder / entry.name).open("rb")

        path = self.folder / MANIFEST
        with ExitStack() as stack:
            found: dict[str, BinaryIO] = {}
            while self._value():
                sealed = stack.enter_context(path.open("rb"))
                manifest, files = self._opened_all(stack, opened)
                if os.path.samestat(os.fstat(sealed.fileno()), path.stat()):
                    found = {
                        MANIFEST: sealed,
                        **dict(zip((each.name for each in manifest.files), files, strict=True)),
                    }
                    break
                stack.pop_all().close()
            yield found

    def _opened_all(
        self, stack: ExitStack, opened: Callable[[Entry], AbstractContextManager[_Open]]
    ) -> tuple[Manifest, list[_Open]]:
        while True:
            value = self._value()
            manifest = Manifest.of(value)
            try:
                with ExitStack() as own, disk.reading(self.folder):
                    found = [own.enter_context(opened(entry)) for entry in manifest.files]
                    stack.enter_context(own.pop_all())
            except FileNotFoundError as error:
                # Another process has replaced it meanwhile.
                if self._value() is value:
                    raise VaultError(f"{self.folder} lacks a file of records.", parquet.RESTORE) from error
            else:
                return manifest, found

    def _value(self) -> dict[str, Any]:
        value = self._kept.value
        if value or not any(self.folder.glob("*.parquet")):
            return value
        # A first import may have begun just now: its manifest was there before its files.
        if not (value := self._kept.value):
            raise VaultError(f"{self.folder} has files of records, and lacks {MANIFEST}.", parquet.RESTORE)
        return value

    def _key(self, name: str) -> bytes:
        return self._sealer.derive(f"vault/records/{name}")


class _Group(NamedTuple):
    table: pa.Table
    size: int


def _grouped(tables: Iterable[pa.Table], limit: int) -> Iterator[_Group]:
    """Row groups of at most ``limit`` bytes, or of one row."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        for piece in _cut(table, limit):
            if held and size + piece.size > limit:
                yield _Group(pa.concat_tables(held), size)
                held, size = [], 0
            held.append(piece.table)
            size += piece.size
    if held:
        yield _Group(pa.concat_tables(held), size)


def _cut(table: pa.Table, limit: int) -> Iterator[_Group]:
    ends = np.cumsum(pc.binary_length(table["content"]).to_numpy() + ROW_BYTES)
    start = done = 0
    while start < len(table):
        end = max(start + 1, int(np.searchsorted(ends, done + limit, "right")))
        yield _Group(table.slice(start, end - start), int(ends[end - 1]) - done)
        start, done = end, int(ends[end - 1])
