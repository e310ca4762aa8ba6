"""Whether a posted merge is what its updates give, and the claim that proves on the chain that it is not.

A claim is one chunk, 256 numbers, of every merged update, of the state before and of the posted state, each with its
Merkle path. Whoever has the bytes can make it; only a hospital with a bond in the job can send it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from protocol.chain.challenges import Chunk, Claim, Part, Previous
from protocol.chain.client import Chain
from protocol.chain.models import Models, Vector
from protocol.content import merkle, vectors
from protocol.content.ipfs import Ipfs
from protocol.content.spool import VectorFile
from protocol.content.vectors import VectorRef
from protocol.errors import InvalidInput
from protocol.learning import zoo
from protocol.learning.merge import Lanes, merge
from protocol.record import JobRecord, Merge
from protocol.spec import JobSpec


@dataclass(frozen=True)
class Finding:
    """A merge computed again. ``lanes``: numbers of the state; ``differing``: in how many of them the posted state is
    another; ``claim``: proves the first chunk that differs, or of an honest merge describes the first one."""

    round: int
    merge: Merge
    lanes: int
    differing: int
    claim: Claim

    @property
    def honest(self) -> bool:
        return self.differing == 0


def examine(chain: Chain, ipfs: Ipfs, spec: JobSpec, record: JobRecord, number: int) -> Finding:
    """Computes the standing merge of a round again, from bytes that match their digests.

    Raises InvalidInput when no merge of the round stands, ContentError when bytes cannot be had: then nothing can be
    proved with them, and hospitals reject the merge or doubt the update instead.
    """
    posted = record.round(number).merge
    if posted is None:
        raise InvalidInput(
            f"No merge of round {number} of job {record.job_id} stands.", "`salus job show` shows the rounds."
        )
    lanes = zoo.layout(spec.model, spec.state).lanes
    before = vectors.get_vector(ipfs, state_before(chain, record, number), lanes)
    updates = {
        update.ref: vectors.get_vector(ipfs, update.ref, lanes)
        for update in record.round(number).merged_updates
    }
    state = vectors.get_vector(ipfs, posted.state, lanes)
    parts = record.updates_by_group(record.round(number).attempts[posted.attempt])
    computed = merge(
        before,
        [[updates[update.ref] for update in group] for group in parts],
        spec.merge.server_step,
        spec.merge.rule,
    )
    return Finding(
        number,
        posted,
        lanes,
        int(np.count_nonzero(computed != state)),
        claim_of(record, number, first_difference(computed, state) or 0, before, updates, state),
    )


def state_before(chain: Chain, record: JobRecord, number: int) -> VectorRef:
    """The state that the updates of a round are added to: the base version's in round 1."""
    if number == 1:
        base = Models(chain).version(record.proposal.model_id, record.proposal.base_version).state
        return VectorRef(base.cid, base.root)
    previous = record.round(number - 1).merge
    if previous is None:
        raise InvalidInput(
            f"No merge of round {number - 1} of job {record.job_id} stands.", "Read the job again."
        )
    return previous.state


def first_difference(computed: np.ndarray, posted: np.ndarray) -> int | None:
    """The first chunk in which two states, int32[lanes], differ; None when they are the same."""
    differing = computed != posted
    return int(differing.argmax()) // merkle.CHUNK_LANES if differing.any() else None


def claim_of(
    record: JobRecord,
    number: int,
    chunk_index: int,
    before: np.ndarray,
    updates: Mapping[VectorRef, Lanes],
    posted: np.ndarray,
) -> Claim:
    """The claim about one chunk of the standing merge of a round.

    ``before``, ``posted``: the states, int32[lanes]; ``updates``: every merged update by its digests, one of them in
    memory at a time where they lie in files.
    """
    rounds = record.round(number)
    merged = rounds.merge
    previous = Previous.none()
    if number > 1:
        last = record.round(number - 1).merge
        accumulator = record.accumulator(number - 1, last.attempt)
        previous = Previous(last.attempt, accumulator, _vector(last.state))
    return Claim(
        job_id=record.job_id,
        round=number,
        attempt=merged.attempt,
        labels=rounds.attempts[merged.attempt].labels,
        chunk_index=chunk_index,
        previous=previous,
        next=_vector(merged.state),
        parts=[
            Part(
                record.participants[update.hospital_id].index,
                _vector(update.ref),
                _chunk(updates[update.ref], chunk_index),
            )
            for update in rounds.merged_updates
        ],
        before=_chunk(before, chunk_index),
        claimed=_chunk(posted, chunk_index),
    )


def _vector(ref: VectorRef) -> Vector:
    return Vector(ref.cid, ref.root)


def _chunk(lanes: Lanes, index: int) -> Chunk:
    whole = lanes.array() if isinstance(lanes, VectorFile) else lanes
    return Chunk(merkle.chunk_bytes(whole, index), merkle.chunk_proof(whole, index))
