from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.fhir import handlers
from protocol.fhir.importing import deidentified
from protocol.fhir.reading import Found, Refused
from protocol.fhir.resource import Clean
from tests.protocol.fhir import planted
from tests.protocol.fhir.made import PSEUDONYMS, RULES, TODAY, KnownOnly, imported, ndjson, parted, patient


def test_nothing_planted_survives_and_what_is_measured_stays(tmp_path):
    """Every element of 27 types, for three patients."""
    everyone = list(planted.patients(3, 7, RULES))
    path = ndjson(tmp_path, *(made.resource for each in everyone for made in each))
    clean, refused = parted(imported(path, notes=KnownOnly()))
    assert not refused
    by_key = {each.key: each for each in clean}
    left: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    plants = stays = 0
    for made in (made for each in everyone for made in each):
        content = by_key[PSEUDONYMS.resource(made.resource["resourceType"], made.resource["id"])].content
        text = "\n".join(planted.texts_of(content)).lower()
        for plant in made.plants:
            plants += 1
            left[plant.place] += plant.token.lower() in text
        for where, value in made.stays:
            stays += 1
            missing[".".join((made.resource["resourceType"], *where))] += value not in planted.at(
                content, where
            )
    assert plants > 10_000 and stays > 1_000
    assert +left == {}
    assert missing.total() <= stays * 0.02, missing.most_common(10)


@pytest.mark.parametrize(
    ("hole", "places"),
    [
        ("_judged", {"codes of known systems", "codes of unknown systems"}),
        ("_mistyped", {"codes"}),
    ],
)
def test_a_hole_is_found(tmp_path, monkeypatch, hole, places):
    """With codes of any system, or with any code, the search tells where something is left."""
    if hole == "_judged":
        monkeypatch.setattr(handlers.CodeBook, "has", lambda *_: True)
    else:
        monkeypatch.setattr(handlers, "keep_code", lambda _: lambda value, _: value)
    (each,) = planted.patients(1, 7, RULES)
    clean, _ = parted(imported(ndjson(tmp_path, *(made.resource for made in each)), notes=KnownOnly()))
    text = "\n".join(text for one in clean for text in planted.texts_of(one.content))
    assert {plant.place for made in each for plant in made.plants if plant.token in text} >= places


# --- any JSON ---

TOKEN = "Zorvane"
_NAMES = sorted(
    {part for rules in RULES.resources.values() for path in rules for part in path.split(".")}
    | {"extension", "_status", "text", "div", "coding", "system", "code", "display", "reference", "identifier", "value",
       "unit", "data", "contentType", "start", "end", "contained", "meta", "note", "id", "url", "type", "resourceType"}
)  # fmt: skip
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**60), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [TOKEN, f"{TOKEN}/1", f"Patient/{TOKEN}", f"urn:uuid:{TOKEN}", "#x", "Patient/p1", "2020-02-03", "final", "kg",
         "http://snomed.info/sct", "http://unitsofmeasure.org", "44054006", f"http://{TOKEN}.example/Patient/p1",
         f"<div>{TOKEN}</div>", "text/plain", "Wm9ydmFuZQ==", "active", "2020-02-03T04:05:06Z", "Observation"]
    ),
    st.text(max_size=8),
)  # fmt: skip
_JSON = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*_NAMES, TOKEN]), inner, max_size=5)
    ),
    max_leaves=25,
)
_RESOURCE = st.builds(
    lambda kind, subject, rest: {**rest, **subject, "resourceType": kind, "id": "r1"},
    st.sampled_from(sorted(RULES.resources)),
    st.sampled_from([{name: {"reference": "Patient/p1"}} for name in planted.SUBJECTS]),
    st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=8),
)


def taken(*given: Any) -> list[Clean | Refused]:
    source: Any = [Found("a", number, each, "") for number, each in enumerate(given, start=1)]
    return list(deidentified(source, RULES, PSEUDONYMS, KnownOnly(), today=TODAY))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_RESOURCE)
def test_any_json_is_answered_and_lets_nothing_through(resource):
    owner = patient(name=[{"family": TOKEN}])
    for each in taken(owner, resource):
        if isinstance(each, Clean):
            text = "\n".join(planted.texts_of(each.content))
            assert TOKEN.lower() not in text.lower()
            assert "2020-02-03" not in text
        else:
            assert TOKEN not in each.reason
        json.dumps(each.content if isinstance(each, Clean) else each.reason, allow_nan=False)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=8))
def test_any_patient_is_answered_and_lets_nothing_through(rest):
    for each in taken({**rest, "resourceType": "Patient", "id": "p1"}):
        if isinstance(each, Clean):
            assert TOKEN.lower() not in "\n".join(planted.texts_of(each.content)).lower()


def test_a_token_is_never_within_what_stands_for_it():
    draw = random.Random(3)
    pseudonyms = "".join(PSEUDONYMS.resource("Patient", f"{each}").hex() for each in range(100))
    assert not any(planted.token(draw).lower() in pseudonyms for _ in range(1_000))
