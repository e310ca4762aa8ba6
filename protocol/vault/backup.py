"""A vault in one encrypted file, as large as it may be: read and written piece by piece.

    head      "SALUS-VAULT-BACKUP-1\\n" || salt (16) || nonce (7)
    pieces    AES-256-GCM of 1 MiB of a tar file each, the last one shorter; nonce = nonce || uint32be(number) || last?

Key: scrypt (RFC 7914) of the password, N = 2^17, r = 8, p = 1. The head is authenticated with each piece; number and
end are in its nonce, so that none is missing, moved or added (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, 2015). In
the tar file the key of the vault is sealed anew, under the password of the back-up, as in `key`.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import AccountError, VaultError
from protocol.vault import disk
from protocol.vault.key import SALT_BYTES, scrypt_key
from protocol.vault.records import Records
from protocol.vault.store import KEY, LABELS, LOG, PSEUDONYMS, RECORDS, WITHDRAWN, Vault, folder_of

_MAGIC = b"SALUS-VAULT-BACKUP-1\n"
_NONCE_BYTES = 7
_SCRYPT_N = 2**17
_HEAD_BYTES = len(_MAGIC) + SALT_BYTES + _NONCE_BYTES
_PIECE_BYTES = 1 << 20
_TAG_BYTES = 16
_NAME = re.compile(
    r"key\.json|access\.log|(labels|pseudonyms|withdrawn)\.sealed|pending/[0-9.]{1,64}\.sealed|batches/[0-9]{6,}\.parquet"
    r"|records/(manifest\.sealed|[0-9]{6,}-[0-9a-f]{16}\.parquet)"
)


def backup(vault: Vault, target: Path, password: str) -> int:
    """Writes a vault into one encrypted file (mode 0600); how many files are in it. Others can write to the vault
    meanwhile: all that was there at the beginning goes in.

    Raises VaultError when the file exists or cannot be written, and AccountError for an empty password.
    """
    key = vault.sealed_key(password)
    part = target.with_name(f".{target.name}.part")
    if target.exists():
        raise VaultError(f"{target} exists already.", "Choose another file: a back-up never replaces one.")
    count, own = 1, False
    with disk.writing(str(target)):
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            own = True
            with os.fdopen(descriptor, "wb") as file:
                with _Sealing(file, password) as sealing, tarfile.open(fileobj=sealing, mode="w|") as archive:
                    _put(archive, KEY, io.BytesIO(key), len(key))
                    # What is flushed meanwhile is in a batch by the time that these are listed; who withdrew is known
                    # last of all.
                    count += _put_files(archive, vault.folder, "pending/*", "batches/*")
                    with Records(vault).as_they_are() as found:
                        for name, content in found.items():
                            size = os.fstat(content.fileno()).st_size
                            _put(archive, f"{RECORDS}/{name}", content, size)
                            count += 1
                    count += _put_files(archive, vault.folder, LABELS, PSEUDONYMS, WITHDRAWN, LOG)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, target)
            disk.sync(target.parent)
        except FileExistsError as error:
            raise VaultError(
                f"{error.filename} exists already.",
                "Another back-up may be under way; remove what a killed one left.",
            ) from error
        finally:
            if own:
                part.unlink(missing_ok=True)
    vault.log("backup", files=count)
    return count


def restore(source: Path, password: str, home: Path) -> Vault:
    """Puts a back-up's vault into a home that has none; the back-up's password opens it.

    Raises AccountError for a wrong password, and VaultError when the file is no back-up, was altered or cut, or the
    home has a vault: there is none afterwards then.
    """
    folder = folder_of(home)
    if folder.exists():
        raise VaultError(f"{folder} exists already.", "Restore into an empty home; nothing was changed.")
    with disk.writing(str(home)):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = Path(tempfile.mkdtemp(dir=home, prefix=".vault-"))
        try:
            for name in ("pending", "batches", RECORDS):
                (part / name).mkdir(mode=0o700)
            with source.open("rb") as file:
                _extract(_Opening(file, source, password), source, part)
            for each in (part / "pending", part / "batches", part / RECORDS, part):
                disk.sync(each)
            part.rename(folder)
            disk.sync(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    vault = Vault.open(home, password)
    vault.log("restore")
    return vault


def _put_files(archive: tarfile.TarFile, folder: Path, *patterns: str) -> int:
    """How many there were."""
    count = 0
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            name = path.relative_to(folder).as_posix()
            count += bool(_NAME.fullmatch(name)) and _put_file(archive, path, name)
    return count


def _put_file(archive: tarfile.TarFile, path: Path, name: str) -> bool:
    """Whether it was still there. Files are replaced, never changed: what was opened stays as it is."""
    try:
        with path.open("rb") as content:
            _put(archive, name, content, os.fstat(content.fileno()).st_size)
    except FileNotFoundError:
        return False
    return True


def _put(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    # Neither who made it nor when.
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, content)


def _extract(opening: _Opening, source: Path, folder: Path) -> None:
    try:
        with tarfile.open(fileobj=opening, mode="r|") as archive:
            for entry in archive:
                if not entry.isfile() or not _NAME.fullmatch(entry.name):
                    raise VaultError(
                        f"{source} holds what is none of a vault's files.", "Salus did not make it."
                    )
                content = archive.extractfile(entry)
                assert content is not None
                descriptor = os.open(folder / entry.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    shutil.copyfileobj(content, file, _PIECE_BYTES)
                    file.flush()
                    os.fsync(file.fileno())
        # The tar file ends before the last piece does.
        opening.drain()
    except tarfile.TarError as error:
        raise VaultError(f"{source} is damaged.", "Try another copy of it.") from error


class _Pieces:
    """The cipher of a back-up's pieces, for writing or reading."""

    def __init__(self, head: bytes, password: str) -> None:
        salt = head[len(_MAGIC) : len(_MAGIC) + SALT_BYTES]
        self._cipher, self._head, self._number = AESGCM(scrypt_key(password, salt, _SCRYPT_N)), head, 0

    def _nonce(self, *, last: bool) -> bytes:
        number = self._number.to_bytes(4, "big")
        self._number += 1
        return self._head[-_NONCE_BYTES:] + number + bytes([last])


class _Sealing(_Pieces, io.RawIOBase):
    """What is written here goes encrypted into a file."""

    def __init__(self, file: BinaryIO, password: str) -> None:
        head = _MAGIC + os.urandom(SALT_BYTES + _NONCE_BYTES)
        super().__init__(head, password)
        self._file, self._rest = file, bytearray()
        file.write(head)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._rest += data
        # The last piece is told apart only at the end: one is always held back.
        while len(self._rest) > _PIECE_BYTES:
            self._seal(_PIECE_BYTES, last=False)
        return len(data)

    def close(self) -> None:
        if not self.closed and not self._file.closed:
            self._seal(len(self._rest), last=True)
        super().close()

    def _seal(self, size: int, *, last: bool) -> None:
        nonce = self._nonce(last=last)
        self._file.write(self._cipher.encrypt(nonce, bytes(self._rest[:size]), self._head))
        del self._rest[:size]


class _Opening(_Pieces, io.RawIOBase):
    """What is read here comes from an encrypted file; nothing that was not authenticated."""

    def __init__(self, file: BinaryIO, source: Path, password: str) -> None:
        head = file.read(_HEAD_BYTES)
        if len(head) != _HEAD_BYTES or not head.startswith(_MAGIC):
            raise VaultError(f"{source} is not a back-up of a vault.")
        super().__init__(head, password)
        self._file, self._source = file, source
        self._next = file.read(_PIECE_BYTES + _TAG_BYTES)
        self._rest = self._open()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:  # type: ignore[override]
        while len(self._rest) < size and self._next:
            self._rest += self._open()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def drain(self) -> None:
        """Reads what is left, so that a cut at the end is seen. Raises VaultError."""
        while self._next:
            self._open()

    def _open(self) -> bytes:
        piece, self._next = self._next, self._file.read(_PIECE_BYTES + _TAG_BYTES)
        first = not self._number
        try:
            return self._cipher.decrypt(self._nonce(last=not self._next), piece, self._head)
        except (InvalidTag, ValueError) as error:
            if first:
                raise AccountError(
                    f"{self._source} does not open with this password.",
                    "Or the file was altered: try another copy of it.",
                ) from error
            raise VaultError(
                f"{self._source} was altered, or ends too early.", "Try another copy of it."
            ) from error
