"""Differential privacy as the chain has it: what each hospital declared, held against what the training costs."""

from __future__ import annotations

from protocol.errors import LearningError
from protocol.learning.privacy import MICRO, least_micro
from protocol.record import JobRecord, Update
from protocol.spec import JobSpec
from protocol.trace.check import Check
from protocol.trace.consent import ConsentLife


def check_epsilon(parent: Check, record: JobRecord, spec: JobSpec, consents: dict[int, ConsentLife]) -> None:
    """Adds one check a hospital, in jobs with differential privacy: the totals that it declared, over every update that
    it ever sent in the job, never fall, stay within its consent's budget, and are no less than the accountant gives.

    That noise was added at all is the hospital's word: nothing here can show it.
    """
    dp = spec.privacy.dp
    if dp is None:
        return
    node = parent.add(
        f"differential privacy of each {dp.unit}: noise {dp.noise_multiplier:g}, delta {dp.delta:g}",
        True,
        "each hospital's own word: that it adds the noise cannot be seen from outside",
    )
    sent: dict[int, list[Update]] = {}
    for rounds in record.rounds.values():
        for update in rounds.updates():
            sent.setdefault(update.hospital_id, []).append(update)
    for hospital_id, updates in sorted(sent.items()):
        place = record.participants[hospital_id]
        budget = consents[place.consent_id].terms.epsilon_budget_micro
        updates.sort(key=lambda update: update.event.place)
        totals = [update.epsilon_total_micro for update in updates]
        try:
            reasons = _reasons(spec, place.train_records, totals, budget)
        except LearningError as error:
            reasons = [error.message]
        spent = f"dataset {place.dataset_id} has spent {totals[-1] / MICRO:g} of {budget / MICRO:g}"
        node.add(f"hospital {hospital_id}: {spent}", not reasons, "; ".join(reasons))


def _reasons(spec: JobSpec, train_records: int, totals: list[int], budget: int) -> list[str]:
    reasons = []
    if totals != sorted(totals):
        reasons.append("a total fell")
    if max(totals) > budget:
        reasons.append("more than the consent's budget")
    for number, total in enumerate(totals, start=1):
        least = least_micro(spec, train_records, number)
        if total < least:
            reasons.append(
                f"update {number} declares {total / MICRO:g}; so much training costs at least {least / MICRO:g}"
            )
            break
    return reasons
