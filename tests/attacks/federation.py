"""A whole masked job in one process in which some hospitals misbehave.

Everything an honest hospital does is the product's own code: training, weights, clip, quantisation, masks, draw of
groups, merge. A misbehaving one replaces what its behaviour says, and nothing that others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from protocol.content.cid import digest_of
from protocol.content.merkle import chunk_root
from protocol.data.schema import DataSchema
from protocol.data.splits import HELD_OUT, TRAIN, HospitalRecords
from protocol.learning import groups, zoo
from protocol.learning.context import RoundContext
from protocol.learning.masks import JobKey, mask
from protocol.learning.merge import merge, quantise, weights
from protocol.learning.metrics import evaluate
from protocol.learning.train import initial_state, train
from protocol.spec import JobSpec
from protocol.templates import Template

RETAIN_UNTIL = 2_000_000_000
CHAIN_ID = 1337
JOB_ID = 1


class Behaviour:
    """What a hospital does. This one is honest; a subclass replaces one step.

    ``data`` poisons what an unmodified node trains on, ``train`` what it hands to its own clip; ``send`` is a
    modified node, which needs to keep no rule of the protocol: whatever it masks is summed.
    """

    def data(self, records: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return records, labels

    def train(self, honest: np.ndarray) -> np.ndarray:
        return honest

    def send(self, update: np.ndarray, seen: Seen) -> np.ndarray:
        del seen
        return update


HONEST = Behaviour()


@dataclass(frozen=True)
class Seen:
    """What any hospital sees when it makes an update: the states so far, its weight, and a generator of its own."""

    states: Sequence[np.ndarray]
    weight: float
    random: np.random.Generator


@dataclass(frozen=True)
class Rules:
    """What of a job's rules stands against false updates."""

    name: str
    groups: int = 1
    rule: str = "mean"
    clip_norm: float = 1e6
    max_weight_bps: int = 10_000

    @property
    def merge(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "groups": self.groups,
            "server_step": 65_536,
            "max_weight_bps": self.max_weight_bps,
            "clip_norm": self.clip_norm,
        }


@dataclass
class Outcome:
    """The last state's accuracy over all held-out records, and whether it passes the template's gate.

    ``overrun``: the share of rounds in which misbehaving hospitals sat in half of the groups or more."""

    accuracy: float
    passes: bool
    overrun: float
    state: np.ndarray = field(repr=False)


@dataclass
class Federation:
    """Hospitals with their encoded records: float32[n, d] and float32[n], for training and held out."""

    schema: DataSchema
    template: Template
    parties: list[tuple[np.ndarray, np.ndarray]]
    held_out: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, hospitals: Sequence[HospitalRecords], schema: DataSchema, template: Template) -> Federation:
        sides: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]
        for hospital in hospitals:
            records, labels = schema.encode(hospital.records)
            for part in (TRAIN, HELD_OUT):
                sides[part].append((records[hospital.splits == part], labels[hospital.splits == part]))
        return cls(schema, template, *sides)

    @property
    def shares(self) -> list[float]:
        """Of the hospitals' part of the reward, to each: its training records over all, as the contracts pay it."""
        counts = [len(labels) for _, labels in self.parties]
        return [count / sum(counts) for count in counts]

    def job(self, rules: Rules, seed: int) -> tuple[JobSpec, np.ndarray]:
        """The spec and its base state."""
        template, size = self.template, len(self.parties)
        base = initial_state(template.model, template.state, seed)
        spec = template.complete(
            base_cid=digest_of(base.tobytes()),
            base_root=chunk_root(base),
            schema=self.schema.to_dict(),
            retain_until=RETAIN_UNTIL,
            training={**template.document["training"], "seed": seed},
            merge=rules.merge,
            hospitals={"min": 3, "max": size},
            privacy={"mechanism": "masked"},
        )
        return spec, base

    def run(self, rules: Rules, attackers: dict[int, Behaviour], seed: int) -> Outcome:
        """Plays the job to its end. ``attackers`` behave; all others are honest."""
        spec, state = self.job(rules, seed)
        keys = [JobKey.new() for _ in self.parties]
        states, overrun = [state], 0
        for number in range(1, spec.rounds + 1):
            labels = groups.draw(_seed(seed, number), range(len(self.parties)), spec.merge.groups)
            members = groups.split(labels, range(len(self.parties)))
            sent = [self._group(spec, states, number, group, keys, attackers, seed) for group in members]
            states.append(merge(states[-1], sent, spec.merge.server_step, spec.merge.rule))
            overrun += 2 * sum(any(i in attackers for i in group) for group in members) >= len(members)
        correct = [evaluate(spec, states[-1], *part) for part in self.held_out]
        accuracy = sum(each.correct for each in correct) / sum(each.total for each in correct)
        passes = accuracy * 10_000 >= spec.gate.accuracy_bps
        return Outcome(accuracy, passes, overrun / spec.rounds if attackers else 0.0, states[-1])

    def _group(
        self,
        spec: JobSpec,
        states: Sequence[np.ndarray],
        number: int,
        group: Sequence[int],
        keys: Sequence[JobKey],
        attackers: dict[int, Behaviour],
        seed: int,
    ) -> list[np.ndarray]:
        """The masked updates of one group, int32[lanes] each."""
        layout, base = zoo.layout(spec.model, spec.state), states[-1]
        shares = weights([len(self.parties[i][1]) for i in group], spec.merge.max_weight_bps)
        context = RoundContext(
            chain_id=CHAIN_ID,
            genesis="0x" + bytes(32).hex(),
            contract="0x" + bytes(20).hex(),
            job_id=JOB_ID,
            spec=spec.digest,
            round=number,
            attempt=1,
            base=chunk_root(base),
            hospitals=tuple(i + 1 for i in group),
            weights=tuple((share.numerator, share.denominator) for share in shares),
            mask_keys=tuple(keys[i].public for i in group),
            lanes=layout.lanes,
        )
        sent = []
        for i, share in zip(group, shares, strict=True):
            behaviour = attackers.get(i, HONEST)
            trained = train(spec, base, *behaviour.data(*self.parties[i]), round=number, seed=i)
            delta = behaviour.train(trained.delta)
            update = quantise(delta, share, len(group), layout, spec.merge.clip_norm)
            seen = Seen(states, float(share), np.random.default_rng([seed, number, i]))
            sent.append(mask(behaviour.send(update, seen), context, i + 1, keys[i]))
        return sent


def _seed(seed: int, number: int) -> bytes:
    """In place of a block's hash: the draw of a round, the same in every run."""
    return sha256(f"attacks/{seed}/{number}".encode()).digest()
