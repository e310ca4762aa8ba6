"""The job spec: what a researcher asks hospitals to train.

It is canonical JSON (RFC 8785) that the chain names by its digest. The structure is in
``protocol/schemas/job.json``; what a JSON schema cannot say is checked here. A spec is data from a stranger:
nothing in it is ever executed, every number has bounds, and every refusal names the place and the reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from protocol.content import canonical, cid
from protocol.data.images import ImageSchema, Schema, schema_of
from protocol.errors import InvalidInput, SpecError

PROTOCOL = "salus/1"
FULL_BPS = 10_000
SMALLEST_GROUP = 3


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """An architecture of the zoo and its parameters."""

    architecture: str
    parameters: dict[str, Any]

    def check(self) -> None:
        """Raises SpecError unless the architecture is known and its parameters are complete and in bounds."""
        _refuse_first(
            _validator("model"),
            {"architecture": self.architecture, "parameters": self.parameters},
            prefix="model",
        )
        if self.architecture == "cnn":
            filters, groups = self.parameters["filters"], self.parameters["groups"]
            if any(count % groups for count in filters):
                raise SpecError(
                    "model.parameters.groups", f"the filters {filters} are not all multiples of {groups}."
                )

    @property
    def outputs(self) -> int:
        """How many logits it gives for a record."""
        return int(self.parameters["classes" if "classes" in self.parameters else "outputs"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one record."""
        names = ("channels", "height", "width") if "channels" in self.parameters else ("inputs",)
        return tuple(self.parameters[name] for name in names)


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """The state that round 1 starts from: content digest and chunk root, 32 bytes each."""

    cid: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class StateSpec:
    """Fraction bits of the fixed-point state; ``tensors`` overrides them by tensor name."""

    fraction_bits: int
    tensors: dict[str, int]


@dataclass(frozen=True, slots=True)
class OptimiserSpec:
    """``sgd`` (with momentum) or ``adam``; weight decay is an L2 penalty, as in torch."""

    name: str
    learning_rate: float
    weight_decay: float
    momentum: float


@dataclass(frozen=True, slots=True)
class AugmentSpec:
    """How far a picture may be changed at random each time it is trained on. ``flip``: whether half of them are
    mirrored left to right; ``shift``: share of the picture's sides by which it moves at most; ``rotate``: degrees;
    ``zoom``: share of its size; ``contrast``: share by which its contrast changes, and of a deviation (``scale`` of the
    schema) by which its brightness does."""

    flip: bool = False
    shift: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    contrast: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """Local training of one round. The optimiser starts anew each round. ``augment`` is for pictures."""

    loss: str
    optimiser: OptimiserSpec
    batch_size: int
    local_epochs: int
    seed: int
    augment: AugmentSpec | None = None


@dataclass(frozen=True, slots=True)
class MergeSpec:
    """``server_step`` has 16 fraction bits; ``clip_norm`` is the L2 bound on an update. ``groups``: most groups, of at
    least three, that a round's participants are drawn into; ``rule`` (``mean`` or ``median``) combines their sums."""

    rule: str
    server_step: int
    max_weight_bps: int
    clip_norm: float
    groups: int = 1


@dataclass(frozen=True, slots=True)
class DpSpec:
    """Differential privacy of local training, by DP-SGD. ``unit`` is what one gradient is clipped and one epsilon
    stated for: a ``record`` or a ``patient``. ``noise_multiplier``: deviation of the noise as a multiple of
    ``max_grad_norm``, the L2 bound on a unit's gradient. ``accountant``: ``rdp`` or ``prv``."""

    unit: str
    noise_multiplier: float
    max_grad_norm: float
    delta: float
    accountant: str


@dataclass(frozen=True, slots=True)
class PrivacySpec:
    """``masked``: nobody can read a single update. ``none``: updates lie unmasked on IPFS. ``dp`` is None when updates
    carry no noise."""

    mechanism: str
    dp: DpSpec | None = None


@dataclass(frozen=True, slots=True)
class PurposeSpec:
    """GA4GH DUO. ``mondo`` is the number of the disease and ``region`` the UN M49 code, zero for none, as
    on the chain; ``irb_approval`` is the digest of the approval (32 bytes)."""

    permission: str
    mondo: int
    pledges: tuple[str, ...]
    region: int
    irb_approval: bytes | None


@dataclass(frozen=True, slots=True)
class HospitalsSpec:
    """Fewest and most hospitals."""

    min: int
    max: int


@dataclass(frozen=True, slots=True)
class GateSpec:
    """Accuracy over all held-out records from which the outcome becomes a candidate."""

    accuracy_bps: int


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Shares of the reward in basis points; they sum to 10,000."""

    hospitals: int
    caregivers: int
    patients: int
    merger: int
    dao: int


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A checked job spec. ``canonical`` is its one and only encoding; the other fields are read from it."""

    title: str
    model: ModelSpec
    base: BaseSpec
    state: StateSpec
    schema: Schema
    training: TrainingSpec
    rounds: int
    merge: MergeSpec
    privacy: PrivacySpec
    purpose: PurposeSpec
    hospitals: HospitalsSpec
    gate: GateSpec
    split: SplitSpec
    retain_until: int
    canonical: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> JobSpec:
        """Reads a spec's bytes. Raises SpecError unless they are canonical, of this protocol and sound."""
        try:
            document = canonical.loads(data)
        except InvalidInput as error:
            raise SpecError("", error.message, error.hint) from error
        return cls._read(document, data)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> JobSpec:
        """A spec from its fields. Raises SpecError."""
        try:
            data = canonical.dumps(document)
        except InvalidInput as error:
            raise SpecError("", error.message, error.hint) from error
        return cls.parse(data)

    def to_dict(self) -> dict[str, Any]:
        """The document: a copy of its own."""
        document: dict[str, Any] = json.loads(self.canonical)
        return document

    def to_bytes(self) -> bytes:
        """The canonical JSON, at most one IPFS block (256 KiB)."""
        return self.canonical

    @property
    def digest(self) -> bytes:
        """The 32 bytes that name the spec on the chain: the multihash of its CIDv0."""
        return cid.digest_of(self.canonical)

    @property
    def masked(self) -> bool:
        """Whether updates are masked."""
        return self.privacy.mechanism == "masked"

    @property
    def schema_digest(self) -> bytes:
        """Digest of the data schema, which each dataset on the chain must have."""
        return self.schema.digest()

    @classmethod
    def _read(cls, document: Any, data: bytes) -> JobSpec:
        _check_structure(document)
        _check_sense(document)
        schema = _schema(document["data"]["schema"])
        training, purpose = document["training"], document["purpose"]
        optimiser = training["optimiser"]
        spec = cls(
            title=document["title"],
            model=ModelSpec(**document["model"]),
            base=BaseSpec(
                cid=_digest("base.cid", document["base"]["cid"]),
                root=bytes.fromhex(document["base"]["root"][2:]),
            ),
            state=StateSpec(document["state"]["fraction_bits"], document["state"].get("tensors", {})),
            schema=schema,
            training=TrainingSpec(
                loss=training["loss"],
                optimiser=OptimiserSpec(
                    name=optimiser["name"],
                    learning_rate=float(optimiser["learning_rate"]),
                    weight_decay=float(optimiser.get("weight_decay", 0)),
                    momentum=float(optimiser.get("momentum", 0)),
                ),
                batch_size=training["batch_size"],
                local_epochs=training["local_epochs"],
                seed=training["seed"],
                augment=_augment(training.get("augment")),
            ),
            rounds=document["rounds"],
            merge=MergeSpec(**{**document["merge"], "clip_norm": float(document["merge"]["clip_norm"])}),
            privacy=_privacy(document["privacy"]),
            purpose=PurposeSpec(
                permission=purpose["permission"],
                mondo=int(purpose["mondo"].removeprefix("MONDO:")) if purpose["mondo"] else 0,
                pledges=tuple(purpose["pledges"]),
                region=purpose["region"] or 0,
                irb_approval=_digest("purpose.irb_approval", purpose["irb_approval"])
                if purpose["irb_approval"]
                else None,
            ),
            hospitals=HospitalsSpec(**document["hospitals"]),
            gate=GateSpec(**document["gate"]),
            split=SplitSpec(**document["reward"]["split_bps"]),
            retain_until=document["retain_until"],
            canonical=data,
        )
        _check_model(spec)
        return spec


@cache
def _validator(part: str | None = None) -> Draft202012Validator:
    """The validator of a whole spec, or of one of its fields."""
    schema = json.loads(resources.files("protocol").joinpath("schemas/job.json").read_text(encoding="utf-8"))
    return Draft202012Validator({**schema["properties"][part], "$defs": schema["$defs"]} if part else schema)


def _refuse_first(validator: Draft202012Validator, instance: Any, prefix: str = "") -> None:
    errors = sorted(
        validator.iter_errors(instance), key=lambda error: [str(step) for step in error.absolute_path]
    )
    if errors:
        raise SpecError(_path(errors[0], prefix), _reason(errors[0]))


def _check_structure(document: Any) -> None:
    if not isinstance(document, dict):
        raise SpecError("", "a spec is a JSON object.")
    if document.get("protocol") != PROTOCOL:
        raise SpecError(
            "protocol",
            f"it is {_short(document.get('protocol'))}; this program speaks {PROTOCOL}.",
            "Use the version of Salus that speaks the job's protocol.",
        )
    _refuse_first(_validator(), document)


def _check_sense(document: dict[str, Any]) -> None:
    """What the schema cannot say: sums, order, and fields that go together."""
    total = sum(document["reward"]["split_bps"].values())
    if total != FULL_BPS:
        raise SpecError("reward.split_bps", f"the shares sum to {total:,} basis points, not {FULL_BPS:,}.")
    hospitals = document["hospitals"]
    if hospitals["min"] > hospitals["max"]:
        raise SpecError(
            "hospitals", f"at least {hospitals['min']}, at most {hospitals['max']}: that is nobody."
        )
    merge, masked = document["merge"], document["privacy"]["mechanism"] == "masked"
    groups = merge.get("groups", 1)
    if (masked or groups > 1) and hospitals["min"] < SMALLEST_GROUP:
        raise SpecError(
            "hospitals.min",
            f"it is {hospitals['min']}; a sum of fewer than {SMALLEST_GROUP} updates tells one hospital the other's.",
        )
    if groups > 1 and SMALLEST_GROUP * groups > hospitals["max"]:
        raise SpecError(
            "merge.groups",
            f"{hospitals['max']} hospitals never make {groups} groups of at least {SMALLEST_GROUP}.",
        )
    if merge["rule"] == "median" and groups == 1:
        raise SpecError("merge.rule", "the median is taken across groups; `groups` says how many there are.")
    purpose = document["purpose"]
    pledges = purpose["pledges"]
    if ("IRB" in pledges) != (purpose["irb_approval"] is not None):
        raise SpecError("purpose.irb_approval", "it is given if and only if IRB is pledged.")
    if (purpose["permission"] == "DS") != (purpose["mondo"] is not None):
        raise SpecError("purpose.mondo", "a disease is named if and only if the permission is DS.")
    if ("GS" in pledges) != (purpose["region"] is not None):
        raise SpecError("purpose.region", "a region is named if and only if GS is pledged.")


def _check_model(spec: JobSpec) -> None:
    """That model, loss and data fit each other."""
    spec.model.check()
    if spec.training.augment is not None and not isinstance(spec.schema, ImageSchema):
        raise SpecError("training.augment", "it is for pictures; the data schema is of tables.")
    if spec.training.augment is not None and spec.privacy.dp is not None:
        raise SpecError("training.augment", "training with differential privacy does without.")
    outputs = spec.model.outputs
    if (spec.training.loss == "binary_cross_entropy") != (outputs == 1):
        raise SpecError("training.loss", f"{spec.training.loss} does not fit a model of {outputs} outputs.")
    if spec.model.input_shape == spec.schema.shape:
        return
    takes_pictures, of_pictures = len(spec.model.input_shape) > 1, isinstance(spec.schema, ImageSchema)
    if takes_pictures != of_pictures:
        raise SpecError(
            "model.architecture",
            f"a {spec.model.architecture} takes {'pictures' if takes_pictures else 'numbers'}; the data schema is of"
            f" {'pictures' if of_pictures else 'tables'}.",
        )
    if of_pictures:
        channels, rows, columns = spec.schema.shape
        raise SpecError(
            "model.parameters",
            f"the data schema has pictures of {channels} channel(s), {rows} rows and {columns} columns; the model takes"
            " others.",
        )
    raise SpecError(
        "model.parameters.inputs",
        f"it is {spec.model.parameters['inputs']}; the data schema encodes a record as {spec.schema.inputs} numbers.",
    )


def _augment(document: dict[str, Any] | None) -> AugmentSpec | None:
    if document is None:
        return None
    shares = {name: float(value) for name, value in document.items() if name != "flip"}
    return AugmentSpec(flip=document.get("flip", False), **shares)


def _privacy(document: dict[str, Any]) -> PrivacySpec:
    dp = document.get("dp")
    if dp is None:
        return PrivacySpec(document["mechanism"])
    numbers = {name: float(dp[name]) for name in ("noise_multiplier", "max_grad_norm", "delta")}
    return PrivacySpec(document["mechanism"], DpSpec(unit=dp["unit"], accountant=dp["accountant"], **numbers))


def _schema(document: dict[str, Any]) -> Schema:
    try:
        return schema_of(document)
    except InvalidInput as error:
        raise SpecError("data.schema", error.message, error.hint) from error


def _digest(path: str, text: str) -> bytes:
    try:
        return cid.from_cid(text)
    except InvalidInput as error:
        raise SpecError(path, error.message, error.hint) from error


def _path(error: ValidationError, prefix: str) -> str:
    steps = prefix + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path
    )
    return steps.removeprefix(".")


def _reason(error: ValidationError) -> str:
    """One sentence for the validator's finding, without quoting what may be long or hostile."""
    match error.validator:
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return f"{missing[0]!r} is missing."
        case "additionalProperties":
            known = error.schema.get("properties", {})
            return f"{sorted(set(error.instance) - set(known))[0][:64]!r} is not a field that it has."
        case "enum":
            return f"{_short(error.instance)} is not one of {', '.join(map(str, error.validator_value))}."
        case "type":
            return f"{_short(error.instance)} is not of type {error.validator_value}."
        case "pattern" | "anyOf":
            return f"{_short(error.instance)} is not written as it must be."
        case "minimum" | "exclusiveMinimum":
            sign = "at least" if error.validator == "minimum" else "more than"
            return f"{_short(error.instance)} is too small: it must be {sign} {error.validator_value}."
        case "maximum" | "exclusiveMaximum":
            sign = "at most" if error.validator == "maximum" else "less than"
            return f"{_short(error.instance)} is too large: it must be {sign} {error.validator_value}."
        case "minItems" | "maxItems":
            sign = "at least" if error.validator == "minItems" else "at most"
            return f"it has {len(error.instance)} items; {sign} {error.validator_value} are allowed."
        case "uniqueItems":
            return "it names something twice."
        case _:
            return f"{_short(error.instance)} breaks the rule {error.validator!r}: {error.validator_value}."


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 64 else f"{text[:61]}..."
