"""The job spec: one encoding, one digest, and a reason for each refusal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.content import canonical, cid
from protocol.errors import SpecError
from protocol.spec import PROTOCOL, AugmentSpec, JobSpec
from tests.protocol.job_documents import CNN, DOCUMENT, MLP, PICTURES, image_job, job

ROOT = Path(__file__).parents[2]


def refusal(document: dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        JobSpec.from_dict(document)
    return caught.value


def image_changes() -> dict[str, Any]:
    return {"model": CNN, "training__loss": "cross_entropy"}


def without(*path: str) -> dict[str, Any]:
    document = job()
    place = document
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return document


# what a sound spec says


def test_a_spec_says_what_its_document_says():
    spec = JobSpec.from_dict(DOCUMENT)
    assert spec.title == DOCUMENT["title"]
    assert (spec.model.architecture, spec.model.parameters) == (
        "logistic_regression",
        {"inputs": 3, "outputs": 1},
    )
    assert (spec.base.cid, spec.base.root) == (cid.digest_of(b"base"), bytes.fromhex("5a" * 32))
    assert (spec.state.fraction_bits, spec.state.tensors) == (24, {})
    assert spec.schema.inputs == 3
    assert (spec.training.loss, spec.training.batch_size) == ("binary_cross_entropy", 16)
    assert (spec.training.local_epochs, spec.training.seed) == (2, 7)
    optimiser = spec.training.optimiser
    assert (optimiser.name, optimiser.learning_rate) == ("sgd", 0.1)
    assert (optimiser.momentum, optimiser.weight_decay) == (0.5, 0.001)
    assert spec.rounds == 12
    assert (spec.merge.rule, spec.merge.server_step) == ("mean", 65536)
    assert (spec.merge.max_weight_bps, spec.merge.clip_norm) == (6000, 10.0)
    assert isinstance(spec.merge.clip_norm, float)
    assert (spec.merge.groups, spec.privacy.mechanism, spec.privacy.dp, spec.masked) == (
        1,
        "none",
        None,
        False,
    )
    assert (spec.purpose.permission, spec.purpose.mondo, spec.purpose.pledges) == ("HMB", 0, ("PUB",))
    assert (spec.purpose.region, spec.purpose.irb_approval) == (0, None)
    assert (spec.hospitals.min, spec.hospitals.max) == (3, 4)
    assert spec.gate.accuracy_bps == 7000
    split = spec.split
    assert (split.hospitals, split.caregivers, split.patients, split.merger, split.dao) == (
        6000,
        1500,
        1500,
        500,
        500,
    )
    assert spec.retain_until == 2_000_000_000


def test_a_spec_says_whether_updates_are_masked_and_how_groups_are_combined():
    spec = JobSpec.from_dict(
        job(
            privacy={"mechanism": "masked"},
            merge__rule="median",
            merge__groups=5,
            hospitals={"min": 9, "max": 18},
        )
    )
    assert spec.masked
    assert (spec.merge.rule, spec.merge.groups) == ("median", 5)


def test_a_purpose_names_disease_region_and_approval():
    approval = cid.digest_of(b"approved")
    spec = JobSpec.from_dict(
        job(
            purpose={
                "permission": "DS",
                "mondo": "MONDO:0004994",
                "pledges": ["GS", "IRB"],
                "region": 756,
                "irb_approval": cid.to_cid(approval),
            }
        )
    )
    purpose = spec.purpose
    assert (purpose.permission, purpose.mondo, purpose.region, purpose.irb_approval) == (
        "DS",
        4994,
        756,
        approval,
    )


def test_bytes_and_document_are_one():
    spec = JobSpec.from_dict(DOCUMENT)
    data = spec.to_bytes()
    assert data == canonical.dumps(DOCUMENT)
    assert JobSpec.parse(data) == spec
    assert spec.to_dict() == DOCUMENT
    assert JobSpec.from_dict(spec.to_dict()).digest == spec.digest


def test_the_digest_is_the_cid_of_the_bytes():
    spec = JobSpec.from_dict(DOCUMENT)
    assert spec.digest == cid.digest_of(spec.to_bytes())
    assert spec.digest != JobSpec.from_dict(job(rounds=13)).digest


def test_the_schema_digest_is_the_cid_of_the_schema_alone():
    spec = JobSpec.from_dict(DOCUMENT)
    assert spec.schema_digest == cid.digest_of(canonical.dumps(DOCUMENT["data"]["schema"]))


def test_the_document_of_a_spec_is_a_copy():
    spec = JobSpec.from_dict(DOCUMENT)
    spec.to_dict()["rounds"] = 99
    assert spec.to_dict()["rounds"] == 12


@pytest.mark.parametrize(
    "document",
    [
        job(model=MLP),
        image_job(),
        job(training__optimiser={"name": "adam", "learning_rate": 0.01, "weight_decay": 0.0}),
        job(state__tensors={"0.bias": 16}),
        job(hospitals={"min": 4, "max": 4}),
        job(privacy={"mechanism": "masked"}),
        job(merge__groups=1),
        job(merge__groups=16, hospitals={"min": 3, "max": 48}, privacy={"mechanism": "masked"}),
        job(merge__groups=2, merge__rule="median", hospitals={"min": 3, "max": 6}),
        job(title="Échographie: 超音波"),
    ],
)
def test_these_are_sound_too(document):
    spec = JobSpec.from_dict(document)
    assert JobSpec.parse(spec.to_bytes()) == spec


# what is refused, where, and why


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"protocol": "salus/2"}, "protocol", '"salus/2"'),
        ({"protocol": None}, "protocol", "null"),
        ({"colour": "red"}, "", "'colour' is not a field"),
        ({"title": ""}, "title", "not written"),
        ({"title": "a\x1b[2Jb"}, "title", "not written"),
        ({"title": "\u202egnitset"}, "title", "not written"),
        ({"title": "x" * 201}, "title", "not written"),
        ({"title": 5}, "title", "not of type string"),
        ({"model__architecture": "gpt"}, "model.architecture", "logistic_regression, mlp, cnn"),
        ({"model__code": "import os"}, "model", "'code' is not a field"),
        ({"model__parameters": {"inputs": 3}}, "model.parameters", "'outputs' is missing"),
        ({"model__parameters__inputs": 4}, "model.parameters.inputs", "encodes a record as 3 numbers"),
        ({"model__parameters__inputs": 1e9}, "model.parameters.inputs", "too large"),
        ({"model__parameters__outputs": 2}, "training.loss", "2 outputs"),
        (
            {"model": {**MLP, "parameters": {**MLP["parameters"], "hidden": [8] * 9}}},
            "model.parameters.hidden",
            "9",
        ),
        ({"base__cid": "Qm1"}, "base.cid", "not written"),
        ({"base__cid": "Qm" + "1" * 44}, "base.cid", "CIDv0"),
        ({"base__root": "0x00"}, "base.root", "not written"),
        ({"base__root": "0x" + "5A" * 32}, "base.root", "not written"),
        ({"state__fraction_bits": 31}, "state.fraction_bits", "at most 30"),
        ({"state__fraction_bits": 7}, "state.fraction_bits", "at least 8"),
        ({"state__tensors": {"w": 2.5}}, "state.tensors.w", "integer"),
        ({"data__schema": {}}, "data.schema", "'kind' is missing"),
        ({"data__schema__columns": []}, "data.schema", ""),
        ({"data__schema__kind": "film"}, "data.schema", "'film'"),
        ({"data__schema": PICTURES}, "model.architecture", "takes numbers; the data schema is of pictures"),
        (
            {"model": CNN, "training__loss": "cross_entropy"},
            "model.architecture",
            "takes pictures; the data schema is of tables",
        ),
        ({"training__loss": "hinge"}, "training.loss", "binary_cross_entropy, cross_entropy"),
        ({"training__loss": "cross_entropy"}, "training.loss", "1 outputs"),
        (
            {"training__optimiser": {"name": "lion", "learning_rate": 1}},
            "training.optimiser.name",
            "sgd, adam",
        ),
        ({"training__optimiser": {"name": "sgd"}}, "training.optimiser", "'learning_rate' is missing"),
        (
            {"training__optimiser": {"name": "adam", "learning_rate": 1, "momentum": 0.9}},
            "training.optimiser",
            "'momentum' is not a field",
        ),
        ({"training__optimiser__learning_rate": 0}, "training.optimiser.learning_rate", "more than 0"),
        ({"training__optimiser__learning_rate": -0.1}, "training.optimiser.learning_rate", "more than 0"),
        ({"training__optimiser__learning_rate": 1e300}, "training.optimiser.learning_rate", "at most 100"),
        ({"training__optimiser__learning_rate": "0.1"}, "training.optimiser.learning_rate", "number"),
        ({"training__optimiser__momentum": 1}, "training.optimiser.momentum", "less than 1"),
        ({"training__optimiser__weight_decay": -1}, "training.optimiser.weight_decay", "at least 0"),
        ({"training__batch_size": 0}, "training.batch_size", "at least 1"),
        ({"training__local_epochs": 0}, "training.local_epochs", "at least 1"),
        ({"training__seed": -1}, "training.seed", "at least 0"),
        ({"rounds": 0}, "rounds", "at least 1"),
        ({"rounds": 10_001}, "rounds", "at most 1000"),
        ({"rounds": True}, "rounds", "integer"),
        ({"merge__rule": "mode"}, "merge.rule", "mean, median"),
        ({"merge__rule": "median"}, "merge.rule", "across groups"),
        ({"merge__rule": "median", "merge__groups": 1}, "merge.rule", "across groups"),
        ({"merge__groups": 0}, "merge.groups", "at least 1"),
        ({"merge__groups": 17}, "merge.groups", "at most 16"),
        ({"merge__groups": 2}, "merge.groups", "4 hospitals never make 2 groups of at least 3"),
        ({"merge__groups": 2, "hospitals": {"min": 2, "max": 6}}, "hospitals.min", "tells one hospital"),
        ({"privacy": {"mechanism": "masked"}, "hospitals__min": 2}, "hospitals.min", "tells one hospital"),
        ({"merge__server_step": 0}, "merge.server_step", "at least 1"),
        ({"merge__server_step": 2**32}, "merge.server_step", "at most"),
        ({"merge__max_weight_bps": 0}, "merge.max_weight_bps", "at least 1"),
        ({"merge__clip_norm": 0}, "merge.clip_norm", "more than 0"),
        ({"privacy__mechanism": "trust me"}, "privacy.mechanism", "masked, none"),
        ({"privacy": {}}, "privacy", "'mechanism' is missing"),
        ({"purpose__permission": "ALL"}, "purpose.permission", "NRES, GRU, HMB, DS"),
        ({"purpose__pledges": ["XYZ"]}, "purpose.pledges[0]", "not one of"),
        ({"purpose__pledges": ["PUB", "PUB"]}, "purpose.pledges", "twice"),
        ({"purpose__pledges": ["IRB"]}, "purpose.irb_approval", "if and only if IRB"),
        ({"purpose__irb_approval": cid.to_cid(bytes(32))}, "purpose.irb_approval", "if and only if IRB"),
        ({"purpose__permission": "DS"}, "purpose.mondo", "if and only if"),
        ({"purpose__mondo": "MONDO:0004994"}, "purpose.mondo", "if and only if"),
        ({"purpose__mondo": "4994"}, "purpose.mondo", "not written"),
        ({"purpose__pledges": ["GS"]}, "purpose.region", "if and only if GS"),
        ({"purpose__region": 756}, "purpose.region", "if and only if GS"),
        ({"hospitals": {"min": 5, "max": 4}}, "hospitals", "at least 5, at most 4"),
        ({"hospitals": {"min": 1, "max": 4}}, "hospitals.min", "at least 2"),
        ({"hospitals": {"min": 3, "max": 49}}, "hospitals.max", "at most 48"),
        ({"gate__accuracy_bps": 10_001}, "gate.accuracy_bps", "at most 1000"),
        ({"reward__split_bps__dao": 501}, "reward.split_bps", "10,001"),
        ({"reward__split_bps__dao": 499}, "reward.split_bps", "9,999"),
        ({"reward__split_bps__dao": -1}, "reward.split_bps.dao", "at least 0"),
        ({"retain_until": 0}, "retain_until", "at least 1"),
        ({"retain_until": 2**40}, "retain_until", "at most"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_spec_is_refused_with_place_and_reason(change, path, reason):
    error = refusal(job(**change))
    assert error.path == path
    assert reason in error.reason
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"rows": 13}, "model.parameters", "1 channel(s), 13 rows and 12 columns"),
        ({"columns": 14}, "model.parameters", "12 rows and 14 columns"),
        ({"channels": 3}, "model.parameters", "3 channel(s)"),
        ({"channels": 2}, "data.schema.channels", "not one of 1, 3"),
        ({"rows": 7}, "data.schema.rows", "at least 8"),
        ({"columns": 513}, "data.schema.columns", "at most 512"),
        ({"rows": 12.5}, "data.schema.rows", "integer"),
        ({"scale": 0}, "data.schema.scale", "more than 0"),
        ({"centre": None}, "data.schema.centre", "number"),
        ({"crop": True}, "data.schema", "'crop' is not a field"),
        ({"name": ""}, "data.schema.name", ""),
        ({"name": " edge"}, "data.schema", "printable"),
        ({"label": {"name": "patient name", "positive": "== 1"}}, "data.schema", "identifiers have no place"),
        (
            {"label": {"name": "finding", "positive": "malignant"}},
            "data.schema.label.positive",
            "not written",
        ),
    ],
)
def test_a_spec_of_pictures_is_refused_with_place_and_reason(change, path, reason):
    error = refusal(job(**{**image_changes(), "data__schema": {**PICTURES, **change}}))
    assert error.path == path
    assert reason in error.reason


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"flip": 1}, "training.augment.flip", "boolean"),
        ({"shift": 0.6}, "training.augment.shift", "at most 0.5"),
        ({"rotate": 181}, "training.augment.rotate", "at most 180"),
        ({"zoom": -0.1}, "training.augment.zoom", "at least 0"),
        ({"contrast": 1.5}, "training.augment.contrast", "at most 1"),
        ({"code": "x"}, "training.augment", "'code' is not a field"),
    ],
)
def test_augmentation_is_refused_with_place_and_reason(change, path, reason):
    error = refusal(job(**image_changes(), data__schema=PICTURES, training__augment=change))
    assert error.path == path
    assert reason in error.reason


def test_augmentation_is_for_pictures_and_without_differential_privacy():
    assert refusal(job(training__augment={"flip": True})).path == "training.augment"
    document = image_job()
    document["training"]["augment"] = {"flip": True}
    assert JobSpec.from_dict(document).training.augment.flip
    document["privacy"]["dp"] = {
        "unit": "record", "noise_multiplier": 1, "max_grad_norm": 1, "delta": 1e-5, "accountant": "rdp",
    }  # fmt: skip
    assert "differential privacy" in refusal(document).reason


def test_a_spec_says_how_pictures_are_augmented():
    document = image_job()
    assert JobSpec.from_dict(document).training.augment is None
    document["training"]["augment"] = {"shift": 0.1, "rotate": 10}
    assert JobSpec.from_dict(document).training.augment == AugmentSpec(shift=0.1, rotate=10.0)


def test_the_schema_digest_of_pictures_is_the_cid_of_the_schema_alone():
    spec = JobSpec.from_dict(image_job())
    assert spec.schema.shape == spec.model.input_shape == (1, 12, 12)
    assert spec.schema_digest == cid.digest_of(canonical.dumps(PICTURES))


@pytest.mark.parametrize(
    "path", [("title",), ("base", "root"), ("purpose", "mondo"), ("reward", "split_bps", "dao")]
)
def test_a_missing_field_is_named(path):
    error = refusal(without(*path))
    assert error.path == ".".join(path[:-1])
    assert error.reason == f"{path[-1]!r} is missing."


def test_another_protocol_is_refused_before_anything_else():
    assert refusal({"protocol": "salus/9"}).path == "protocol"
    assert PROTOCOL in refusal({}).reason


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(number):
    refusal(job(training__optimiser__learning_rate=number))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[]", "JSON object"),
        (b'"salus/1"', "JSON object"),
        (b'{"a":1,"a":2}', "repeats"),
        (b'{"a":NaN}', "NaN"),
        (b"[" * 100_000, "nested"),
        (b'{"protocol": "salus/1"}', "not canonical"),
        (b'{"a":1e999}', ""),
    ],
)
def test_bytes_that_are_no_spec_are_refused(data, reason):
    with pytest.raises(SpecError) as caught:
        JobSpec.parse(data)
    assert reason in caught.value.reason


def test_a_spec_in_another_order_of_keys_is_refused():
    data = json.dumps(DOCUMENT, separators=(",", ":")).encode()
    assert json.loads(data) == DOCUMENT
    with pytest.raises(SpecError, match="not canonical"):
        JobSpec.parse(data)


def test_a_spec_of_more_than_one_block_is_refused():
    document = job(state__tensors={f"tensor{number:06}": 24 for number in range(20_000)})
    assert "262,144" in refusal(document).reason


def test_a_long_value_is_quoted_in_part():
    assert len(str(refusal(job(protocol="s" * 100_000)))) < 300
    assert len(str(refusal(job(model__architecture="a" * 100_000)))) < 300
    assert len(str(refusal(job(**{"b" * 100_000: 1})))) < 300


scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(), st.text(max_size=8))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)
paths = st.sampled_from(
    [
        *DOCUMENT,
        *(
            f"{outer}__{inner}"
            for outer, fields in DOCUMENT.items()
            if isinstance(fields, dict)
            for inner in fields
        ),
        "training__optimiser__name",
        "model__parameters__inputs",
        "data__schema__columns",
        "data__schema__label",
    ]
)


@given(paths, values)
def test_whatever_stands_in_a_field_it_is_sound_or_refused(path, value):
    """Nothing but a SpecError ever comes of a spec, and what is sound has one encoding."""
    try:
        spec = JobSpec.from_dict(job(**{path: value}))
    except SpecError:
        return
    assert JobSpec.parse(spec.to_bytes()) == spec


@given(st.binary(max_size=64))
def test_whatever_the_bytes_they_are_refused(data):
    with pytest.raises(SpecError):
        JobSpec.parse(data)


def test_pledges_are_the_modifiers_that_the_contracts_know():
    source = (ROOT / "contracts" / "libraries" / "Duo.sol").read_text()
    modifiers = re.findall(r"uint32 internal constant (\w+) = 1 <<", source)
    schema = json.loads((ROOT / "protocol" / "schemas" / "job.json").read_text())
    assert schema["properties"]["purpose"]["properties"]["pledges"]["items"]["enum"] == modifiers


def test_permissions_are_those_that_the_contracts_know():
    source = (ROOT / "contracts" / "interfaces" / "IConsentToken.sol").read_text()
    permissions = re.search(r"enum Permission \{([^}]*)\}", source)[1].replace(",", " ").split()
    schema = json.loads((ROOT / "protocol" / "schemas" / "job.json").read_text())
    assert schema["properties"]["purpose"]["properties"]["permission"]["enum"] == permissions
