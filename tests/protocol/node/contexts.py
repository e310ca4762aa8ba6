"""A context to journal and mask for, and its place."""

from __future__ import annotations

import numpy as np

from protocol.learning.context import RoundContext
from protocol.node.places import JobPlace

UPDATE = np.arange(-500, 500, dtype=np.int32)
CONTEXT = RoundContext(
    chain_id=1337,
    genesis="0x" + "aa" * 32,
    contract="0x" + "bB" * 20,
    job_id=1,
    spec=b"\x02" * 32,
    round=2,
    attempt=1,
    base=b"\x01" * 32,
    hospitals=(1, 2, 3),
    weights=((1, 2), (1, 4), (1, 4)),
    mask_keys=(),
    lanes=len(UPDATE),
)


def place_of(context: RoundContext) -> JobPlace:
    return JobPlace(context.genesis, context.contract, context.job_id)
