"""A hospital's own admission policy: which jobs its node may join, whatever the chain would allow.

The policy is a JSON file that the hospital writes. Everything it does not name is refused: an architecture, a purpose
or a privacy mechanism that is not listed is not admitted. In particular a job with ``privacy: none`` publishes unmasked
updates, and a hospital must allow that in so many words; the example allows masked ones alone.
"""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from protocol.chain.jobs import Phases
from protocol.content.unhurried import AT_ONCE
from protocol.errors import AdmissionRefused, InvalidInput
from protocol.learning import zoo
from protocol.spec import JobSpec

BYTES_PER_MIB = 1024 * 1024
# What Python, torch and the chain client take before any model.
PROCESS_MIB = 700
OPACUS_MIB = 100
# With differential privacy each record of a batch has a gradient of its own, float32, half as much again while clipped,
# and a batch that is drawn may be twice the stated size.
BYTES_PER_GRADIENT = 12


@dataclass(frozen=True)
class Policy:
    """Limits of one hospital.

    ``max_giga_multiply_adds``: what one round of local training may compute, in 10^9 multiply-adds, estimated before
    the hospital enrols (training uses one core). ``max_round_seconds``: how long it may take; longer is stopped.
    ``max_memory_mib``: the whole process, estimated before and enforced by the system.
    ``researchers``: addresses that may propose; empty: any whom the consent's terms allow.
    ``differential_privacy``: whether a job must train with it.
    ``min_submit_seconds`` and ``min_check_seconds``: how long a job must at least leave a hospital to send an update,
    which may cost it its bond, and to prove a merge false; a shorter window would end before anybody has looked.
    ``max_phase_seconds``: how long any phase of a job may be; until a job ends its bond is locked.
    ``max_jobs``: in how many jobs the hospital may be at once. A node trains one after the other: what they take
    together must fit into the time that each leaves to send an update.
    ``bond_again``: whether the node may post a second bond to come back to a job in which the hospital lost one.
    """

    architectures: tuple[str, ...]
    purposes: tuple[str, ...]
    privacy: tuple[str, ...]
    researchers: tuple[str, ...] = ()
    max_parameters: int = 2_000_000
    max_rounds: int = 200
    max_local_epochs: int = 20
    min_hospitals: int = 3
    max_giga_multiply_adds: int = 10_000
    max_memory_mib: int = 4096
    max_round_seconds: int = 600
    min_submit_seconds: int = 900
    min_check_seconds: int = 900
    max_phase_seconds: int = 31 * 86_400
    max_jobs: int = 4
    bond_again: bool = False
    differential_privacy: bool = False

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Reads a policy file. Raises InvalidInput naming the field that is missing, unknown or of a wrong type."""
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InvalidInput(
                f"There is no admission policy at {path}.",
                "Write one: `salus node policy --example` prints a policy that admits nothing but what it names.",
            ) from error
        except (ValueError, OSError) as error:
            raise InvalidInput(f"The admission policy {path} cannot be read: {error}.") from error
        return cls.from_dict(given, str(path))

    @classmethod
    def from_dict(cls, given: object, source: str = "policy") -> Policy:
        if not isinstance(given, dict):
            raise InvalidInput(f"The admission policy {source} is not a JSON object.")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise InvalidInput(
                f"The admission policy {source} has an unknown field: {unknown[0]}.", _known(known)
            )
        values: dict[str, object] = {}
        for field in fields(cls):
            if field.name not in given:
                if field.name in ("architectures", "purposes", "privacy"):
                    raise InvalidInput(f"The admission policy {source} lacks `{field.name}`.", _known(known))
                continue
            value = given[field.name]
            if field.type.startswith("tuple"):
                if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                    raise InvalidInput(
                        f"The admission policy {source}: `{field.name}` is not a list of strings."
                    )
                values[field.name] = tuple(value)
            elif field.type == "bool":
                if not isinstance(value, bool):
                    raise InvalidInput(
                        f"The admission policy {source}: `{field.name}` is neither true nor false."
                    )
                values[field.name] = value
            else:
                if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                    raise InvalidInput(
                        f"The admission policy {source}: `{field.name}` is not a positive integer."
                    )
                values[field.name] = value
        return cls(**values)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    def reasons_against(
        self, spec: JobSpec, researcher: str, train_records: int, phases: Phases
    ) -> list[str]:
        """Why this hospital would not join with so many training records, in words; empty when it would."""
        reasons = []
        for name, seconds, least in (
            ("send an update", phases.submit, self.min_submit_seconds),
            ("prove a merge false", phases.check, self.min_check_seconds),
        ):
            if seconds < least:
                reasons.append(f"{seconds} s to {name}, at least {least} s are asked for here")
        if (longest := max(astuple(phases))) > self.max_phase_seconds:
            reasons.append(f"a phase of {longest:,} s, at most {self.max_phase_seconds:,} s are allowed here")
        if spec.model.architecture not in self.architectures:
            reasons.append(
                f"architecture {spec.model.architecture} is not allowed here ({_list(self.architectures)})"
            )
        else:
            reasons += self._costs_too_much(spec, train_records)
        if spec.purpose.permission not in self.purposes:
            reasons.append(f"purpose {spec.purpose.permission} is not allowed here ({_list(self.purposes)})")
        if spec.privacy.mechanism not in self.privacy:
            reasons.append(f"privacy: {spec.privacy.mechanism} is not allowed here ({_list(self.privacy)})")
        if self.differential_privacy and spec.privacy.dp is None:
            reasons.append("it trains without differential privacy, which is asked for here")
        if self.researchers and researcher.lower() not in {each.lower() for each in self.researchers}:
            reasons.append(f"researcher {researcher} is not on this hospital's list")
        if spec.rounds > self.max_rounds:
            reasons.append(f"{spec.rounds} rounds, at most {self.max_rounds} are allowed here")
        if spec.training.local_epochs > self.max_local_epochs:
            reasons.append(
                f"{spec.training.local_epochs} local epochs, at most {self.max_local_epochs} are allowed here"
            )
        if spec.hospitals.min < self.min_hospitals:
            reasons.append(
                f"as few as {spec.hospitals.min} hospitals, at least {self.min_hospitals} are asked for here"
            )
        return reasons

    def _costs_too_much(self, spec: JobSpec, train_records: int) -> list[str]:
        cost = zoo.cost(spec.model, spec.training.batch_size)
        work = cost.multiply_adds * train_records * spec.training.local_epochs // 10**9
        # In pieces and in one: int32 each.
        transfers = 2 * AT_ONCE * 4 * cost.parameters
        memory = PROCESS_MIB + (cost.memory_bytes + transfers) // BYTES_PER_MIB
        if spec.privacy.dp:
            batch = min(spec.training.batch_size, train_records)
            memory += OPACUS_MIB + cost.parameters * batch * BYTES_PER_GRADIENT // BYTES_PER_MIB
        reasons = []
        if cost.parameters > self.max_parameters:
            reasons.append(
                f"{cost.parameters:,} parameters, at most {self.max_parameters:,} are allowed here"
            )
        if work > self.max_giga_multiply_adds:
            reasons.append(
                f"a round computes {work:,} x 10^9 multiply-adds,"
                f" at most {self.max_giga_multiply_adds:,} are allowed here"
            )
        if memory > self.max_memory_mib:
            reasons.append(f"it needs some {memory:,} MiB, at most {self.max_memory_mib:,} are allowed here")
        return reasons

    def require(self, reasons: list[str], job_id: int) -> None:
        """Raises AdmissionRefused with every reason why this hospital would not join."""
        if reasons:
            raise AdmissionRefused(
                f"Job {job_id} is not admitted by this hospital's policy: {'; '.join(reasons)}.",
                "Change the policy file if the hospital wants to take part.",
            )

    def bound_memory(self) -> None:
        """Caps this process's data segment, so that a job cannot take the machine down."""
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = self.max_memory_mib * BYTES_PER_MIB
        resource.setrlimit(
            resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
        )


EXAMPLE = Policy(
    architectures=("logistic_regression", "mlp"),
    purposes=("HMB", "DS"),
    privacy=("masked",),
)


def _known(names: set[str]) -> str:
    return f"A policy may hold: {', '.join(sorted(names))}."


def _list(allowed: tuple[str, ...]) -> str:
    return f"allowed: {', '.join(allowed)}" if allowed else "none is"
