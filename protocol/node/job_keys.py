"""The private halves of a hospital's mask keys: one X25519 key for one job, in the node's home, until the job ends.

A key is made once for a job, before the hospital enrols, and is there again after a crash between the two or a
reorganisation that removed the enrolment. It is encrypted under a key that only the operator's account can derive
(ChaCha20-Poly1305, RFC 8439), bound to its chain, contract and job. When the job ends it is deleted: whoever breaks in
after that finds nothing that opens what the hospital sent.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from protocol.chain.accounts import Signer
from protocol.errors import JobKeyError
from protocol.learning.masks import JobKey
from protocol.node.journal import KEY
from protocol.node.places import JobPlace, write_once

PURPOSE = b"salus/job-key/1"
NONCE_BYTES = 12


class JobKeys:
    """The mask keys of one hospital, under ``folder``, which is the journal's."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder = folder
        self._cipher = ChaCha20Poly1305(signer.derive(PURPOSE))

    def make(self, place: JobPlace) -> JobKey:
        """The key of a job: the one that is there, else a new one from the system's generator, synced to the disk."""
        if (known := self.find(place)) is not None:
            return known
        key = JobKey.new()
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, key.to_bytes(), self._bound(place, key.public))
        document = {"public": key.public.hex(), "nonce": nonce.hex(), "sealed": sealed.hex()}
        path = self._path(place)
        try:
            write_once(path, json.dumps(document).encode())
        except OSError as error:
            raise JobKeyError(
                f"The mask key of job {place.job_id} could not be kept: {error.strerror}.",
                "Free space on the disk; the hospital enrols only once its key is safe.",
            ) from error
        return key

    def find(self, place: JobPlace) -> JobKey | None:
        """The key of a job; None when there is none. Raises JobKeyError when it cannot be opened."""
        path = self._path(place)
        try:
            document = json.loads(path.read_bytes())
            public = bytes.fromhex(document["public"])
            opened = self._cipher.decrypt(
                bytes.fromhex(document["nonce"]),
                bytes.fromhex(document["sealed"]),
                self._bound(place, public),
            )
            key = JobKey.from_bytes(opened)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JobKeyError(
                f"The mask key of job {place.job_id} cannot be read: {error.strerror}.",
                f"Check who owns {path}.",
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise JobKeyError(f"The mask key of job {place.job_id} is damaged.", _SITS_OUT) from error
        except InvalidTag as error:
            raise JobKeyError(
                f"The mask key of job {place.job_id} cannot be opened by this account: it is damaged, or was made by"
                " another operator account.",
                _SITS_OUT,
            ) from error
        if key.public != public:
            raise JobKeyError(f"The mask key of job {place.job_id} is damaged.", _SITS_OUT)
        return key

    def _path(self, place: JobPlace) -> Path:
        return place.folder(self.folder) / KEY

    def _bound(self, place: JobPlace, public: bytes) -> bytes:
        return place.bound() + b" " + public


_SITS_OUT = "The hospital sends no more updates to this job; it still checks, attests and merges."
