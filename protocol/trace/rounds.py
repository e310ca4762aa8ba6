"""One round: its updates and their consents, its groups, the merge computed again, who attested, what was voided."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.content import digests, vectors
from protocol.content.spool import VectorFile
from protocol.learning.merge import merge
from protocol.record import Attempt, JobRecord, Merge, RoundRecord, Update
from protocol.spec import JobSpec
from protocol.trace.bounds import check_bound, update_bounds
from protocol.trace.check import Check
from protocol.trace.consent import ConsentLife
from protocol.trace.evidence import Evidence
from protocol.trace.groups import check_groups


@dataclass(frozen=True)
class Rounds:
    """The rounds of one job. ``consents`` by id."""

    evidence: Evidence
    record: JobRecord
    spec: JobSpec
    consents: dict[int, ConsentLife]

    def check(self, parent: Check, number: int, state: np.ndarray | None) -> np.ndarray | None:
        """Checks a round that starts from ``state``, int32[lanes] or None when it cannot be had; the next state."""
        record, rounds = self.record, self.record.round(number)
        node = parent.add(f"round {number}")
        posted = rounds.merge
        if posted is None:
            node.add("merged", False, "no merge stands")
            return None
        attempt = rounds.attempts[posted.attempt]
        asked = set(record.members(attempt.participants))
        check_groups(self.evidence.chain, node, record, attempt)
        files = self._updates(node, attempt, state)
        came = {update.hospital_id for update in attempt.updates}
        node.add(
            "every participant's update is merged, each once",
            asked == came and len(came) == len(attempt.updates),
        )
        digest = digests.merge_digest(
            record.job_id,
            number,
            posted.attempt,
            record.accumulator(number, posted.attempt),
            posted.state.cid,
            posted.state.root,
        )
        node.add("the merge's digest binds these updates to this state", digest == posted.digest)
        following = self._merge(node, attempt, posted, files, state)
        self._attestations(node, posted, asked)
        self._voids(node, number, rounds)
        self._drops(node, rounds)
        self.evidence.let_go()
        return following

    def _updates(
        self, parent: Check, attempt: Attempt, state: np.ndarray | None
    ) -> dict[int, VectorFile | None]:
        """The merged updates by hospital, matched to their digests, None where one cannot be had."""
        record, masked = self.record, self.spec.masked
        groups = [
            {each: record.participants[each].train_records for each in group}
            for group in record.groups(attempt)
        ]
        bounds = update_bounds(self.spec, groups)
        files = {}
        for update in attempt.updates:
            branch = parent.add(f"update of hospital {update.hospital_id}")
            self._consent(branch, update)
            file = self.evidence.vector_file(
                branch, "bytes", update.ref, None if state is None else len(state)
            )
            if file is not None and not masked:
                check_bound(branch, file.array(), bounds.get(update.hospital_id, 0.0))
            files[update.hospital_id] = file
        return files

    def _consent(self, parent: Check, update: Update) -> None:
        participant = self.record.participants[update.hospital_id]
        consent = self.consents[participant.consent_id]
        timestamp = self.evidence.chain.timestamp(update.event.block)
        reasons = consent.reasons_against(
            update.event, timestamp, update.hospital_id, self.record.proposal.purpose
        )
        if update.epsilon_total_micro > consent.terms.epsilon_budget_micro:
            reasons.append("more epsilon than its budget")
        parent.add(
            f"consent {participant.consent_id} was live and matched in block {update.event.block}",
            not reasons,
            "; ".join(reasons),
        )

    def _merge(
        self,
        parent: Check,
        attempt: Attempt,
        posted: Merge,
        files: dict[int, VectorFile | None],
        state: np.ndarray | None,
    ) -> np.ndarray | None:
        lanes = None if state is None else len(state)
        claimed = self.evidence.vector(parent, "state", posted.state, lanes)
        if state is None or not files or None in files.values():
            parent.add("the merge, computed again", False, "the state before it or an update is missing")
            return claimed
        groups = [
            [files[update.hospital_id] for update in group] for group in self.record.updates_by_group(attempt)
        ]
        computed = merge(state, groups, self.spec.merge.server_step, self.spec.merge.rule)
        same = vectors.reference(computed) == posted.state
        parent.add(
            "the merge, computed again", same, "the same bytes" if same else "another state than was posted"
        )
        return computed if same else claimed

    def _attestations(self, parent: Check, posted: Merge, asked: set[int]) -> None:
        chain, check = self.evidence.chain, self.record.proposal.phases.check
        needed = two_thirds(len(asked))
        attested = posted.attested & asked
        if len(attested) >= needed:
            parent.add("final", True, f"attested by {len(attested)} of {len(asked)}, {needed} are needed")
            return
        silent = (
            posted.final is not None
            and not posted.rejected
            and chain.timestamp(posted.final.block) >= chain.timestamp(posted.event.block) + check
        )
        detail = f"attested by {len(attested)} of {len(asked)}; "
        parent.add(
            "final",
            silent,
            detail + ("its check window passed in silence" if silent else "never became final"),
        )

    def _voids(self, parent: Check, number: int, rounds: RoundRecord) -> None:
        """Each merge that was taken back has a reason: proved false, voted down, or built on one that was."""
        standing = rounds.merge
        for each in rounds.merges:
            if each.void is None:
                continue
            name = f"the merge of hospital {each.hospital_id} in block {each.event.block} was voided for a reason"
            others = len(self.record.members(rounds.attempts[each.attempt].participants)) - 1
            proofs = [
                challenge
                for challenge in self.record.challenges
                if challenge.proven and challenge.event.tx_hash == each.void.tx_hash
            ]
            if each.void.args["round"] < number:
                parent.add(name, True, f"it was built on round {each.void.args['round']}, which was voided")
            elif proofs:
                same = each.attempt == standing.attempt and each.state == standing.state
                detail = (
                    f"hospital {proofs[0].challenger_id} proved it false in chunk {proofs[0].chunk_index}"
                )
                parent.add(name, not same, "the same state was merged again" if same else detail)
            else:
                parent.add(
                    name,
                    len(each.rejected) >= two_thirds(others),
                    f"rejected by {len(each.rejected)} of {others}",
                )

    def _drops(self, parent: Check, rounds: RoundRecord) -> None:
        """Each update that was dropped was doubted by two thirds of the others."""
        for attempt in rounds.attempts.values():
            asked = set(self.record.members(attempt.participants))
            for hospital_id in attempt.dropped:
                doubters = attempt.doubts.get(hospital_id, set()) & asked - {hospital_id}
                parent.add(
                    f"the update of hospital {hospital_id} was dropped by two thirds of the others",
                    len(doubters) >= two_thirds(len(asked) - 1),
                    f"doubted by {len(doubters)} of {len(asked) - 1}",
                )


def two_thirds(count: int) -> int:
    """Two thirds of so many hospitals, rounded up."""
    return -(-2 * count // 3)
