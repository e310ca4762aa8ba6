"""From a draft that a person wrote to a job spec: canonical, and with the state that it starts from.

A draft is a job spec as JSON, spaces and order of keys free. Where it has no ``base``, the spec starts either from a
model version that exists or from fresh weights, drawn from the spec's seed: whoever has the spec can draw them again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from protocol.content import vectors
from protocol.content.canonical import MAX_DOCUMENT_BYTES
from protocol.content.cid import to_cid
from protocol.content.vectors import VectorRef
from protocol.errors import InvalidInput, SpecError
from protocol.learning.train import initial_state
from protocol.spec import JobSpec


def read_draft(path: Path) -> dict[str, Any]:
    """A draft's fields. Raises InvalidInput when the file is too large or holds no JSON object."""
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise InvalidInput(
            f"{path} has more than {MAX_DOCUMENT_BYTES:,} bytes, the most that a job spec may have."
        )
    try:
        draft = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}.", "A draft is a job spec as JSON.") from error
    if not isinstance(draft, dict):
        raise InvalidInput(f"{path} holds no JSON object.", "A draft is a job spec as JSON.")
    return draft


def complete(draft: dict[str, Any], base: VectorRef | None) -> JobSpec:
    """The job spec of a draft, starting from ``base``, or where that is None from fresh weights. Raises SpecError.

    A draft that names its own base keeps it, and is refused when that is another than ``base``.
    """
    given = draft.get("base")
    if given is None:
        base = base or vectors.reference(fresh_base(draft))
        given = {"cid": to_cid(base.cid), "root": "0x" + base.root.hex()}
    spec = JobSpec.from_dict({**draft, "base": given})
    if base is not None and (spec.base.cid, spec.base.root) != (base.cid, base.root):
        raise SpecError(
            "base", "the draft names another state than the model version.", "Leave `base` out of the draft."
        )
    return spec


def fresh_base(draft: dict[str, Any] | JobSpec) -> np.ndarray:
    """The fresh weights that a spec's model, fraction bits and seed draw, int32[lanes]. Raises SpecError."""
    if isinstance(draft, JobSpec):
        return initial_state(draft.model, draft.state, draft.training.seed)
    # Checked as a whole first, with a base that names nothing, so that a refusal names its place.
    blank = JobSpec.from_dict({**draft, "base": {"cid": to_cid(bytes(32)), "root": "0x" + "00" * 32}})
    return initial_state(blank.model, blank.state, blank.training.seed)
