"""What a mapping may say, and the row that it makes of a patient."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.cohort.mapping import CohortMapping, LeftOut, packaged_names
from protocol.data.schema import DataSchema
from protocol.errors import DataError
from tests.protocol.cohort.made import (
    DIABETES,
    DOCUMENT,
    FLU,
    LOINC,
    SNOMED,
    SYSTOLIC,
    condition,
    document,
    encounter,
    history,
    mapping,
    observation,
    person,
    pressure,
    quantity,
)

NOT_BEFORE = {"before_label": False, "because": "the test asks for it"}


def changed(path: str, value: Any) -> dict[str, Any]:
    """`DOCUMENT` with another value at a place; `...` removes what is there."""
    made = copy.deepcopy(DOCUMENT)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    inside: Any = made
    for step in way:
        inside = inside[step]
    if value is ...:
        del inside[last]
    else:
        inside[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("kind", "tabular", "kind: must be one of cohort"),
        ("label", ..., "lacks 'label'"),
        ("extra", 1, "has an unknown field 'extra'"),
        ("name", "", "name: must be a text"),
        ("consent", "maybe", "consent: must be one of opt-out, opt-in"),
        ("index", "today", "index: must be one of last-contact"),
        ("window", {"before_label": False}, "window: needs because"),
        ("window", {"before_label": True, "because": "x"}, "window: needs because"),
        ("window", {"before_label": 1}, "window.before_label: must be true or false"),
        ("features", [], "features: must be a list"),
        ("features.0.kind", "eval", "features.0.kind: must be one of age"),
        ("features.0.to", 20, "features.0.to: must be a whole number from 21"),
        ("features.0.years", 0, "features.0.years: must be a whole number"),
        ("features.0.scale", 0, "features.0.name: the scale must be above zero"),
        ("features.0.scale", ..., "features.0.name: a centre goes with a scale"),
        ("features.1.name", "age", "features: two have the same name"),
        ("features.1.name", "diabetes", "features: two have the same name"),
        ("features.1.element", "Patient", "features.1.element: names no element"),
        ("features.1.element", "Claim.type", "features.1.element: is of a type that has no place"),
        ("features.1.take", "last", "features.1: reads the Patient"),
        ("features.1.levels.2.level", 1, "features.1.levels: levels must rise"),
        ("features.1.levels.2.name", "female", "features.1.levels: two have the same name"),
        ("features.1.levels.2.codes", [{"code": "female"}], "features.1.levels: a code is in two"),
        ("features.1.levels.2.codes", ..., "features.1.levels: exactly one must have no codes"),
        ("features.1.levels.0.codes", [{"code": "other"}], "features.1.levels: exactly one must have no codes"),
        ("features.1.centre", [0.5], "features.1.centre: must be a list of 2 to 2"),
        ("features.2.element", "Observation.component", "features.2.element: must be Observation.value"),
        ("features.2.of", [{"code": "1", "x": 2}], "features.2.of.0: has an unknown field 'x'"),
        ("features.2.of", [{"code": "1"}, {"code": "1"}], "features.2.of: two have the same name"),
        ("features.2.unit", "mm Hg", "features.2.unit: must be a UCUM code"),
        ("features.2.convert", {"kPa": 0}, "features.2.convert.kPa: must be of another unit"),
        ("features.2.convert", {"mm[Hg]": 2}, "features.2.convert.mm[Hg]: must be of another unit"),
        ("features.2.convert", {"kPa": "7.5"}, "features.2.convert.kPa: must be a finite number"),
        ("features.2.range", [280, 50], "features.2.range: must rise"),
        ("features.2.take", "median", "features.2.take: must be one of last"),
        ("features.2.missing", "guess", "features.2.missing: must be one of drop"),
        ("features.2.missing", {"median": 20}, "features.2.missing: the constant is outside"),
        ("features.2.missing", {"median": float("inf")}, "features.2.missing.median: must be a finite number"),
        ("features.2.round", 0, "features.2.round: must be above 0"),
        ("label.kind", "score", "label.kind: must be one of has, value"),
        ("label.codes", ..., "label.element: must be a type of events"),
        ("label.centre", 1, "label.name: a centre goes with a scale"),
        ("anonymity.k", 1, "anonymity.k: must be a whole number from 2"),
        ("anonymity.max_suppressed", 1, "anonymity.max_suppressed: must be a share"),
        ("anonymity.quasi_identifiers", [], "anonymity.quasi_identifiers: must be a list"),
        ("anonymity.quasi_identifiers.1", {"name": "age", "bands": ["all"]}, "anonymity.quasi_identifiers: two"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(path: str, value: Any, said: str) -> None:
    with pytest.raises(DataError) as raised:
        CohortMapping.parse(changed(path, value))
    assert raised.value.message.removeprefix("Mapping").lstrip(",: ").startswith(said)


@pytest.mark.parametrize("given", [None, [], "cohort", 3])
def test_what_is_no_object_is_refused(given: object) -> None:
    with pytest.raises(DataError, match="must be an object"):
        CohortMapping.parse(given)


def test_a_column_named_like_an_identifier_is_refused() -> None:
    with pytest.raises(DataError, match="identifier"):
        CohortMapping.parse(changed("features.2.name", "phone"))


@pytest.mark.parametrize(
    ("feature", "leaks"),
    [
        ({"kind": "has", "element": "Condition.code", "codes": [{"system": SNOMED, "code": DIABETES}]}, True),
        ({"kind": "has", "element": "Condition.code", "codes": [{"system": SNOMED, "code": FLU}]}, False),
        ({"kind": "count", "element": "Condition", "most": 9}, True),
        ({"kind": "count", "element": "Encounter", "most": 9}, False),
    ],
)
def test_without_a_window_no_feature_reads_the_label(feature: dict[str, Any], leaks: bool) -> None:
    features = [*DOCUMENT["features"], {"name": "more", **feature}]
    mapping(features=features)
    if not leaks:
        mapping(features=features, window=NOT_BEFORE)
        return
    with pytest.raises(DataError, match=r"features\.3: reads what the label is made of"):
        mapping(features=features, window=NOT_BEFORE)


def test_a_file_is_read_and_what_is_no_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(DOCUMENT))
    assert CohortMapping.read(file).digest() == mapping().digest()
    for content, said in (
        ("{", "not JSON"),
        ('{"kind": 1, "kind": 2}', "repeats a key"),
        ("[" * 99_999, "not JSON"),
    ):
        file.write_text(content)
        with pytest.raises(DataError, match=said):
            CohortMapping.read(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not JSON"):
        CohortMapping.read(file)
    with pytest.raises(DataError, match="cannot be read"):
        CohortMapping.read(tmp_path / "none.json")


def test_the_digest_is_of_what_the_document_says() -> None:
    turned = dict(reversed(list(document().items())))
    assert CohortMapping.parse(turned).digest() == mapping().digest()
    assert mapping(description="other").digest() != mapping().digest()


def test_the_schema_is_the_same_at_every_hospital() -> None:
    schema = mapping().schema()
    assert schema.names == ["age", "sex", "systolic", "diabetes"]
    assert schema.inputs == 4 and schema.digest() == mapping().schema().digest()
    assert DataSchema.parse(schema.to_dict()) == schema


def test_without_constants_one_hospital_fits_them() -> None:
    bare = [
        {name: each[name] for name in each if name not in ("centre", "scale")}
        for each in DOCUMENT["features"]
    ]
    without = mapping(features=bare)
    with pytest.raises(DataError, match="'age' has no centre and scale"):
        without.schema()
    rows = [
        {"age": 20.0 + n, "sex": n % 2 + 1, "systolic": 100.0 + n, "diabetes": float(n % 2)}
        for n in range(20)
    ]
    fitted = without.fit(rows)
    assert without.check(fitted) is fitted and fitted.columns[0].centre == (29.5,)
    with pytest.raises(DataError, match="too few"):
        without.fit(rows[:19])
    with pytest.raises(DataError, match="not of the mapping"):
        mapping(features=bare[1:], anonymity={**DOCUMENT["anonymity"], "quasi_identifiers": [
            {"name": "sex", "steps": [{"*": "not stated"}]}]}).check(fitted)  # fmt: skip


def test_a_row_has_the_columns_of_the_schema() -> None:
    row = mapping().row(history(person(), pressure(131)))
    assert row == {"age": 57.5, "sex": 1, "systolic": 131, "diabetes": 0}
    mapping().schema().check(row, "here")


def test_features_are_of_before_the_label() -> None:
    told = [
        person("1960-05-01"),
        observation(SYSTOLIC, 120, at="2010-05-02T00:00:00Z"),
        observation(SYSTOLIC, 180, at="2020-01-01T00:00:00Z"),
        condition(at="2018-01-01T00:00:00Z"),
        condition(at="2015-01-01T00:00:00Z"),
    ]
    assert mapping().row(history(*told)) == {"age": 52.5, "sex": 1, "systolic": 120, "diabetes": 1}
    assert mapping(window=NOT_BEFORE).row(history(*told)) == {
        "age": 57.5,
        "sex": 1,
        "systolic": 180,
        "diabetes": 1,
    }


def test_the_day_of_the_label_is_not_before_it() -> None:
    """Dates and times of one day are moved apart by up to a day."""
    for label, value in (("2015-01-01", "2015-01-01T09:00:00Z"), ("2015-01-01T09:00:00Z", "2015-01-01")):
        told = [person(), observation(SYSTOLIC, 120, at=value), condition(at=label)]
        assert mapping().row(history(*told)) == LeftOut("no contact before the label")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([pressure(120)], "no Patient resource"),
        ([person()], "no index date"),
        (
            [person(link=[{"type": "replaced-by", "other": {}}]), pressure(120)],
            "replaced by another Patient resource",
        ),
        ([person(None), pressure(120)], "age: missing"),
        ([person("2015-01-01"), pressure(120)], "age: below 20"),
        ([person(), encounter("2019-01-01")], "systolic: missing"),
        ([person(), pressure(120), condition(at=None)], "label without a date"),
        ([person(), pressure(120), condition(at="2000-01-01")], "no contact before the label"),
    ],
)
def test_who_has_no_row_is_left_out_with_the_reason(told: list[dict[str, Any]], reason: str) -> None:
    assert mapping().row(history(*told)) == LeftOut(reason)


def test_a_constant_stands_in_for_what_is_missing_and_an_indicator_says_so() -> None:
    filled = changed("features.2.missing", {"median": 120, "indicator": "no_pressure"})
    read = CohortMapping.parse(filled)
    assert read.schema().names == ["age", "sex", "systolic", "no_pressure", "diabetes"]
    row = read.row(history(person(), encounter("2019-01-01")))
    assert row == {"age": 57.5, "sex": 1, "systolic": 120, "no_pressure": 1, "diabetes": 0}
    assert read.row(history(person(), pressure(131)))["no_pressure"] == 0
    read.schema().check(row, "here")
    filled["anonymity"]["quasi_identifiers"].append({"name": "systolic", "bands": ["all"]})
    with pytest.raises(DataError, match="indicator"):
        CohortMapping.parse(filled)


def test_an_event_may_be_the_index() -> None:
    surgery = {"element": "Condition.code", "codes": [{"system": SNOMED, "code": FLU}], "take": "first"}
    read = mapping(index=surgery)
    told = [
        person("1960-05-01"),
        observation(SYSTOLIC, 120, at="2010-06-01T00:00:00Z"),
        condition(FLU, at="2011-06-01T00:00:00Z"),
        observation(SYSTOLIC, 180, at="2012-06-01T00:00:00Z"),
        condition(FLU, at="2013-06-01T00:00:00Z"),
    ]
    assert read.row(history(*told)) == {"age": 52.5, "sex": 1, "systolic": 120, "diabetes": 0}
    assert read.row(history(*told, condition(at="2011-01-01"))) == LeftOut("no contact before the label")
    assert read.row(history(*told[:2])) == LeftOut("no index date")


@pytest.mark.parametrize(
    ("missing", "values", "expected"),
    [
        ("drop", [], LeftOut("high: missing")),
        ("negative", [], 0.0),
        ("drop", [139], 0.0),
        ("drop", [139, 141], 1.0),
        ("drop", [quantity(150, unit="?")], LeftOut("high: missing")),
    ],
)
def test_a_label_may_compare_a_value(missing: str, values: list[Any], expected: object) -> None:
    label = {
        "name": "high", "kind": "value", "element": "Observation.value", "of": [{"system": LOINC, "code": "9"}],
        "unit": "mm[Hg]", "range": [50, 280], "positive": "> 140", "missing": missing,
    }  # fmt: skip
    read = mapping(label=label)
    days = (f"2020-01-{day:02}T00:00:00Z" for day in range(1, 9))
    told = [
        person(),
        pressure(120),
        *(observation("9", value, at=at) for value, at in zip(values, days, strict=False)),
    ]
    row = read.row(history(*told))
    assert row == expected if isinstance(expected, LeftOut) else row["high"] == expected


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["2019-01-01", "female", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["coding", "system", "code", "value", "start", "type", "component", "valueQuantity"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([person(), pressure(120), condition(), encounter("2019-01-01")]),
            st.sampled_from(["birthDate", "gender", "link", "status", "code", "component", "valueQuantity", "period",
                             "verificationStatus", "onsetDateTime", "effectiveDateTime", "intent", "doNotPerform"]),
            JSON,
        ),
        max_size=4,
    )
)  # fmt: skip
def test_resources_of_any_form_make_a_row_or_none(spoilt: list[tuple[dict[str, Any], str, Any]]) -> None:
    told = [person(), pressure(120), *({**content, name: value} for content, name, value in spoilt)]
    for read in (mapping(), CohortMapping.packaged("prediabetes")):
        row = read.row(history(*told))
        if not isinstance(row, LeftOut):
            read.schema().check(row, "here")


@pytest.mark.parametrize("name", packaged_names())
def test_what_comes_with_salus_is_whole(name: str) -> None:
    read = CohortMapping.packaged(name)
    assert read.name == name
    assert {each.name for each in read.anonymity.hierarchies} <= set(read.schema().names)


def test_a_mapping_that_does_not_come_with_salus_is_refused() -> None:
    with pytest.raises(DataError, match="no packaged mapping"):
        CohortMapping.packaged("../mapping")
