"""The keys of masking: one for each hospital and job, none of them weak, none used twice."""

from __future__ import annotations

from protocol.chain.events import Event
from protocol.errors import LearningError
from protocol.learning.masks import JobKey
from protocol.record import JobRecord
from protocol.trace.check import Check
from protocol.trace.evidence import Evidence


def check_keys(evidence: Evidence, parent: Check, record: JobRecord) -> None:
    """Whether every hospital registered a fresh key to mask with for this job; in a job without masks nobody has one.

    Who holds the private half, and deleted it when the job ended, nobody can see. That another hospital registered the
    same key says nothing about this one: keys are public, anyone can copy one, and masks bind hospital and job.
    """
    masked = record.proposal.merge.masked
    if not masked:
        parent.add("no key to mask with was registered: the job masks nothing", not record.mask_keys)
        return
    node = parent.add("each hospital registered a key to mask with, for this job alone")
    first: dict[tuple[int, bytes], Event] = {}
    for each in evidence.events("TrainingJobs", ["Enrolled"]):
        first.setdefault((each.args["hospitalId"], each.args["maskKey"]), each)
    for hospital_id in record.hospital_ids:
        key = record.mask_keys.get(hospital_id)
        reasons = ["none is registered"] if key is None else []
        if key is not None and _is_weak(key):
            reasons.append("it is of low order: everybody knows what it agrees on")
        if key is not None and first[hospital_id, key].place < record.enrolments[hospital_id].place:
            reasons.append("it had registered the same before")
        node.add(f"hospital {hospital_id}", not reasons, "; ".join(reasons) or f"0x{key.hex()[:16]}…")


def _is_weak(key: bytes) -> bool:
    try:
        JobKey.new().agree(key)
    except LearningError:
        return True
    return False
