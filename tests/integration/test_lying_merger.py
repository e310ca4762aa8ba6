"""DESIGN, "A round", 4 and 5, and invariant 5: a false merge is proved on the chain, its merger slashed, and the next
in line merges the same updates. Invariant 1 of bonds: every wei is accounted for."""

from __future__ import annotations

from protocol.chain.bonds import Bonds
from protocol.content import vectors
from protocol.trace import trace
from tests.integration.stage import Stage


def test_one_altered_number_is_challenged_and_the_next_in_line_merges_the_same_updates(stage: Stage) -> None:
    liar = stage.hospitals[1]
    bonds = Bonds(stage.chain)
    terms = bonds.terms()
    owed_before = bonds.dao_owed(terms.token)
    job_id = stage.propose_in_order()
    free_before = {actor.name: bonds.free_of(actor.hospital_id, terms.token) for actor in stage.hospitals}
    held_before = bonds.held_of(terms.token)
    stage.kill(liar)
    stage.start_faulty(liar, "lie")
    stage.start(*stage.others(liar))
    try:
        record = stage.finish(job_id, timeout=120)
    finally:
        stage.stop(liar)

    false, true = record.round(1).merges
    assert false.hospital_id == liar.hospital_id
    assert false.voided and false.attested == {liar.hospital_id}
    others = {actor.hospital_id for actor in stage.others(liar)}
    assert true.hospital_id in others
    assert not true.rejected and others <= true.attested
    assert true.attempt == false.attempt and len(record.round(1).attempts) == 1, "the same updates"
    posted, corrected = (vectors.get_vector(stage.ipfs, merge.state) for merge in (false, true))
    assert list(posted - corrected).count(0) == len(posted) - 1, "one number was altered"

    # The liar's bond is gone: half to who proved it, half to the DAO; and its node posts no other one by itself.
    assert not bonds.bond_of(job_id, liar.hospital_id).exists
    gains = [
        bonds.free_of(actor.hospital_id, terms.token) - free_before[actor.name]
        for actor in stage.others(liar)
    ]
    assert sorted(gains) == [0, 0, terms.amount // 2]
    assert bonds.dao_owed(terms.token) - owed_before == terms.amount - terms.amount // 2
    assert bonds.held_of(terms.token) == held_before, "nothing was paid out"
    assert "its policy does not post another" in liar.status["jobs"][str(job_id)]["doing"] or not liar.running
    assert {update.hospital_id for update in record.round(2).merged_updates} == others

    version = record.ended.args["version"]
    assert trace(stage.chain, stage.ipfs, stage.model_id, version).failures() == []
