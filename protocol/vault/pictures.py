"""The pictures of a dataset's members: read from the vault one batch after the other, checked, encoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from protocol.errors import DataError
from protocol.imaging import frames, instances

if TYPE_CHECKING:
    from protocol.data.images import ImageSchema
    from protocol.vault.members import Member
    from protocol.vault.store import Vault


def encoded(
    vault: Vault, schema: ImageSchema, members: Sequence[Member]
) -> Iterator[tuple[Member, np.ndarray]]:
    """Members with their pictures float32[channels, rows, columns], in the order in which the vault holds them.

    Raises DataError when it lacks one, or one is not what the dataset committed to; VaultError when it was altered.
    """
    by_uid = {member.uid: member for member in members}
    for uid, content in vault.contents(list(by_uid)):
        member = by_uid[uid]
        if hashlib.sha256(content).hexdigest() != member.sha256:
            raise DataError(
                "An instance in the vault is not the one that the dataset committed to.",
                "`salus dataset audit` says more. Restore the vault from a back-up.",
            )
        yield member, schema.encode(picture(content))


def picture(content: bytes) -> np.ndarray:
    """What a de-identified instance shows, uint8[rows, columns] in grey or uint8[rows, columns, 3] in RGB; of a cine
    the frame in the middle. Grey is as stored, black low: no window is applied. Raises Unclean for what cannot be
    read."""
    with instances.in_silence():
        dataset = instances.read(content)
        return frames.shown(dataset, int(dataset.get("NumberOfFrames") or 1) // 2)
