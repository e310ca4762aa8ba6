"""What the verifier looks at: chain and IPFS as of one block. Bytes are used only after they were matched.

Updates lie in files while their round is checked, so that memory does not grow with the number of hospitals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from protocol.chain.client import Chain
from protocol.chain.events import Event, events
from protocol.content import canonical, vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.spool import Spool, VectorFile
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, LearningError
from protocol.trace.check import Check


class Evidence:
    """State and events as of one block: what a newer one changed is the next trace's to judge."""

    def __init__(self, chain: Chain, ipfs: Ipfs, folder: Path) -> None:
        self.head = chain.head()
        self.chain, self.ipfs = chain.as_of(self.head), ipfs
        self.spool = Spool(folder)

    def events(self, contract: str, names: list[str] | None = None, **indexed: object) -> list[Event]:
        return list(events(self.chain, contract, names, to_block=self.head, **indexed))

    def vector(self, parent: Check, name: str, ref: VectorRef, lanes: int | None) -> np.ndarray | None:
        """Fetches a vector and matches both of its digests."""
        try:
            x = vectors.get_vector(self.ipfs, ref, lanes)
        except (ContentError, LearningError) as error:
            parent.add(name, False, str(error))
            return None
        parent.add(name, True, f"{to_cid(ref.cid)}: {len(x):,} numbers match both digests")
        return x

    def vector_file(self, parent: Check, name: str, ref: VectorRef, lanes: int | None) -> VectorFile | None:
        """The same, in a file. Without ``lanes`` nothing can be computed with it: it is only matched."""
        if lanes is None:
            self.vector(parent, name, ref, None)
            return None
        try:
            file = self.spool.get(self.ipfs, ref, lanes)
        except (ContentError, LearningError) as error:
            parent.add(name, False, str(error))
            return None
        parent.add(name, True, f"{to_cid(ref.cid)}: {lanes:,} numbers match both digests")
        return file

    def let_go(self) -> None:
        """Deletes the files."""
        self.spool.keep(())

    def document(self, parent: Check, name: str, digest: bytes) -> bytes | None:
        """Fetches a document and matches its digest."""
        try:
            data = self.ipfs.fetch(digest, canonical.MAX_DOCUMENT_BYTES)
        except ContentError as error:
            parent.add(name, False, str(error))
            return None
        parent.add(name, True, to_cid(digest))
        return data
