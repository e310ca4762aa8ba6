"""What the verifier looks at: chain and IPFS as of one block. Bytes are used only after they were matched."""

from __future__ import annotations

import numpy as np

from protocol.chain.client import Chain
from protocol.chain.events import Event, events
from protocol.content import canonical, vectors
from protocol.content.cid import to_cid
from protocol.content.ipfs import Ipfs
from protocol.content.vectors import VectorRef
from protocol.errors import ContentError, LearningError
from protocol.trace.check import Check


class Evidence:
    """State and events as of one block: what a newer one changed is the next trace's to judge."""

    def __init__(self, chain: Chain, ipfs: Ipfs) -> None:
        self.head = chain.head()
        self.chain, self.ipfs = chain.as_of(self.head), ipfs

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

    def document(self, parent: Check, name: str, digest: bytes) -> bytes | None:
        """Fetches a document and matches its digest."""
        try:
            data = self.ipfs.fetch(digest, canonical.MAX_DOCUMENT_BYTES)
        except ContentError as error:
            parent.add(name, False, str(error))
            return None
        parent.add(name, True, to_cid(digest))
        return data
