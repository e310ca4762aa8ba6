"""Back-up of what a hospital cannot make again: salts, commitments and keystores, in one encrypted file.

    b"SALUS-BACKUP-1\\n" || scrypt salt (16) || nonce (12) || AES-256-GCM(zip of the files)

Key: scrypt (RFC 7914), N = 2^17, r = 8, p = 1, of the password. The head is authenticated with the rest.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.data import files
from protocol.data.dataset import MANIFEST, PATIENTS
from protocol.data.passwords import SALT_BYTES, scrypt_key
from protocol.errors import AccountError, DataError

_MAGIC = b"SALUS-BACKUP-1\n"
_NONCE_BYTES = 12
_SCRYPT_N = 2**17
_DATASET_FILES = (MANIFEST, "schema.json", "salts.bin", "splits.bin", "split.key")
_RECORDS = "records.jsonl"
# Of images, see protocol/vault/images.py: what is in its folders comes with it, but for the tree, which is made anew.
_IMAGE_FILES = (MANIFEST, "schema.json", "split.key")
_IMAGE_FOLDERS = ("members", "evidence")
# Of the vault's records, see protocol/vault/record_dataset.py: as of images. Records and salts are sealed together.
_RECORD_FOLDERS = ("segments", "evidence")
# Not every dataset has them. The ledger is protocol/node/epsilon_ledger.py's.
_DATASET_FILES_IF_THERE = (PATIENTS, "epsilon.jsonl", "withdrawn.sealed")
_DATASETS = "datasets"
_KEYSTORE = "keystore"


def backup(
    target: Path,
    password: str,
    *,
    datasets: Sequence[Path] = (),
    keystore: Path | None = None,
    records: bool = False,
) -> list[str]:
    """Writes dataset folders and a keystore folder into one encrypted file (mode 0600); returns the names within.

    Records go in only with `records`; salts, splits and commitments always do. Images are the vault's,
    and what it seals of records always goes in. Raises
    `DataError` when the file exists, there is nothing to keep, or the password is empty.
    """
    if not password:
        raise DataError("A back-up needs a password.")
    names = [folder.name for folder in datasets]
    if len(set(names)) != len(names):
        raise DataError("Two of the datasets have the same name.")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in _files(datasets, keystore, records):
            archive.writestr(name, files.read(path))
        kept = archive.namelist()
    if not kept:
        raise DataError("There is nothing to back up.")
    head = _MAGIC + os.urandom(SALT_BYTES) + os.urandom(_NONCE_BYTES)
    sealed = AESGCM(_key(password, head)).encrypt(head[-_NONCE_BYTES:], packed.getvalue(), head)
    part = target.with_name(f".{target.name}.part")
    try:
        if target.exists():
            raise DataError(f"{target} exists already.", "Choose another file: a back-up never replaces one.")
        files.write_new(part, head + sealed)
        os.link(part, target)
    except FileExistsError as error:
        raise DataError(f"{error.filename} exists already.", "Another back-up may be under way.") from error
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}.", "Is the disk full?") from error
    finally:
        part.unlink(missing_ok=True)
    return kept


def restore(source: Path, password: str, home: Path) -> list[Path]:
    """Puts a back-up's files into `home` (datasets/NAME/…, keystore/…); returns them.

    Raises `AccountError` for a wrong password, and `DataError` when the file is no back-up, was altered, or when any of
    its files exists already: nothing is written then.
    """
    data = files.read(source)
    head_bytes = len(_MAGIC) + SALT_BYTES + _NONCE_BYTES
    if not data.startswith(_MAGIC) or len(data) <= head_bytes:
        raise DataError(f"{source} is not a back-up of Salus.")
    head = data[:head_bytes]
    try:
        packed = AESGCM(_key(password, head)).decrypt(head[-_NONCE_BYTES:], data[head_bytes:], head)
    except InvalidTag as error:
        raise AccountError(
            f"{source} does not open with this password.", "Or the file was altered: try another copy of it."
        ) from error
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        contents = {_place(home, name): archive.read(name) for name in archive.namelist()}
    if existing := [path for path in contents if path.exists()]:
        raise DataError(f"{existing[0]} exists already.", "Restore into an empty home; nothing was changed.")
    written: list[Path] = []
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.write_new(path, content)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise DataError(f"{home} cannot be written: {error.strerror}.", "Is the disk full?") from error
    return written


def _files(datasets: Sequence[Path], keystore: Path | None, records: bool) -> Iterator[tuple[str, Path]]:
    for folder in datasets:
        for name in _names(folder, records):
            yield f"{_DATASETS}/{folder.name}/{name}", folder / name
        for name in _DATASET_FILES_IF_THERE:
            if (folder / name).exists():
                yield f"{_DATASETS}/{folder.name}/{name}", folder / name
    if keystore is not None:
        for path in sorted(keystore.glob("*.json")):
            yield f"{_KEYSTORE}/{path.name}", path


def _names(folder: Path, records: bool) -> list[str]:
    grown = (each for each in (_IMAGE_FOLDERS, _RECORD_FOLDERS) if (folder / each[0]).is_dir())
    if (folders := next(grown, None)) is None:
        return [*_DATASET_FILES, *([_RECORDS] if records else [])]
    within = [path for each in folders for path in sorted((folder / each).iterdir())]
    return [*_IMAGE_FILES, *(path.relative_to(folder).as_posix() for path in within)]


def _place(home: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or parts[0] not in (_DATASETS, _KEYSTORE) or ".." in parts or name.startswith("/"):
        raise DataError("The back-up holds a file outside its folders.", "It was not made by Salus.")
    return home.joinpath(*parts)


def _key(password: str, head: bytes) -> bytes:
    return scrypt_key(password, head[len(_MAGIC) : len(_MAGIC) + SALT_BYTES], _SCRYPT_N)
