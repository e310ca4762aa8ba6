from __future__ import annotations

from datetime import date, timedelta

import pytest

from protocol.fhir.consent import decision
from tests.protocol.fhir.made import PSEUDONYMS, imported, ndjson, one, parted, patient

REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
TODAY = date(2025, 6, 1)


def concept(system: str, code: str) -> dict:
    return {"coding": [{"system": system, "code": code}]}


def purposes(*codes: str) -> list[dict]:
    return [{"system": REASON, "code": code} for code in codes]


def consent(provision: dict | None = None, *, scope: str | None = "research", own: str = "k", **more) -> dict:
    made = {
        "resourceType": "Consent",
        "id": own,
        "status": "active",
        "patient": {"reference": "Patient/p1"},
        "dateTime": "2024-01-01",
        **more,
    }
    if scope:
        made["scope"] = concept("http://terminology.hl7.org/CodeSystem/consentscope", scope)
    if provision is not None:
        made["provision"] = provision
    return made


PERMIT, DENY = {"type": "permit"}, {"type": "deny"}
OPT_IN, OPT_OUT = {"policyRule": concept(ACT, "OPTIN")}, {"policyRule": concept(ACT, "OPTOUT")}

CASES = [
    ([], None),
    ([consent()], None),
    ([consent(PERMIT)], "permit"),
    ([consent(DENY)], "deny"),
    ([consent(DENY, status="inactive")], None),
    ([consent(PERMIT, status="draft")], None),
    ([consent(**OPT_IN)], "permit"),
    ([consent(**OPT_OUT)], "deny"),
    ([consent(DENY, **OPT_IN)], "deny"),
    ([consent(PERMIT, **OPT_OUT)], "permit"),
    # Scope.
    ([consent(DENY, scope="treatment")], None),
    ([consent(DENY, scope="patient-privacy")], "deny"),
    ([consent(PERMIT, scope="patient-privacy")], None),
    ([consent({**PERMIT, "purpose": purposes("HRESCH")}, scope="patient-privacy")], "permit"),
    ([consent(scope="patient-privacy", **OPT_IN)], None),
    ([consent(scope="patient-privacy", **OPT_OUT)], "deny"),
    ([consent(DENY, scope=None)], "deny"),
    ([consent(PERMIT, scope=None)], None),
    # Purpose.
    ([consent({**PERMIT, "purpose": purposes("TREAT")})], None),
    ([consent({**DENY, "purpose": purposes("TREAT")})], None),
    ([consent({**PERMIT, "purpose": purposes("TREAT", "HRESCH")})], "permit"),
    ([consent({**DENY, "purpose": purposes("PURPOSEOFUSE")})], "deny"),
    ([consent({**PERMIT, "purpose": purposes("CLINTRCH")})], None),
    ([consent({**DENY, "purpose": purposes("HMARKT")}, **OPT_IN)], "permit"),
    # Nested exceptions.
    ([consent({**PERMIT, "provision": [{**DENY, "purpose": purposes("HRESCH")}]})], "deny"),
    ([consent({**DENY, "provision": [{**PERMIT, "purpose": purposes("HRESCH")}]})], "permit"),
    ([consent({**DENY, "provision": [{**PERMIT, "purpose": purposes("TREAT")}]})], "deny"),
    ([consent({**PERMIT, "provision": [{**PERMIT, "provision": [DENY]}, PERMIT]})], "deny"),
    ([consent({"provision": [DENY]}, **OPT_IN)], "deny"),
    ([consent({"provision": [{**DENY, "purpose": purposes("TREAT")}]}, **OPT_IN)], "permit"),
    # What a cohort cannot look at: a deny counts, a permit does not.
    ([consent({**PERMIT, "actor": [{"role": concept("x", "y")}]})], None),
    ([consent({**DENY, "actor": [{"role": concept("x", "y")}]})], "deny"),
    (
        [consent({**PERMIT, "provision": [{**DENY, "class": [{"system": "x", "code": "Observation"}]}]})],
        "deny",
    ),
    ([consent({**PERMIT, "dataPeriod": {"start": "2020-01-01"}})], None),
    ([consent({**PERMIT, "action": [concept("x", "use")]})], "permit"),
    ([consent({**PERMIT, "action": [concept("x", "disclose")]})], None),
    # Period.
    ([consent({**PERMIT, "period": {"start": "2024-01-01", "end": "2030-01-01"}})], "permit"),
    ([consent({**PERMIT, "period": {"end": "2025-05-31"}})], None),
    ([consent({**PERMIT, "period": {"start": "2025-06-02"}})], None),
    ([consent({**DENY, "period": {"end": "2025-05-31"}})], None),
    ([consent({**DENY, "period": {"start": "2025-06-02"}})], None),
    ([consent({**DENY, "period": {"start": "2025-06-02T01:00:00Z"}})], "deny"),
    ([consent({**PERMIT, "period": {"end": "2025-06-01T01:00:00Z"}})], None),
    ([consent({**PERMIT, "period": {"end": "2025"}})], None),
    ([consent({**DENY, "period": {"end": "2025"}})], "deny"),
    ([consent({"period": {"end": "2024-12-31"}}, **OPT_IN)], None),
    # Which one holds.
    ([consent(PERMIT), consent(DENY, dateTime="2024-01-02")], "deny"),
    ([consent(DENY), consent(PERMIT, dateTime="2024-01-02")], "permit"),
    ([consent(DENY), consent(PERMIT)], "deny"),
    (
        [consent(DENY, dateTime="2024-01-01T01:00:00Z"), consent(PERMIT, dateTime="2024-01-01T23:00:00Z")],
        "deny",
    ),
    ([consent(PERMIT, dateTime="2024-03-01"), consent(DENY, dateTime="2024")], "deny"),
    ([consent(DENY, dateTime=None), consent(PERMIT, dateTime="2024-05-01")], "deny"),
    ([consent(DENY), consent(PERMIT, dateTime="2025-01-01", status="inactive")], "deny"),
    ([consent(DENY), consent({**PERMIT, "purpose": purposes("TREAT")}, dateTime="2025-01-01")], "deny"),
]


@pytest.mark.parametrize(("consents", "answer"), CASES, ids=range(len(CASES)))
def test_what_consents_say(consents, answer):
    assert decision(consents, "HRESCH", TODAY) == answer
    assert decision(list(reversed(consents)), "HRESCH", TODAY) == answer


def test_a_purpose_is_a_kind_of_another_one():
    assert decision([consent({**PERMIT, "purpose": purposes("HRESCH")})], "CLINTRCH", TODAY) == "permit"


def test_other_resources_say_nothing():
    assert decision([patient(), {"resourceType": "Consent"}, {}], "HRESCH", TODAY) is None


@pytest.mark.parametrize(
    "bad", [3, "x", [], [[]], {"type": 7}, {"period": 3, "type": "permit"}, {"purpose": 3}]
)
def test_what_is_damaged_permits_nothing(bad):
    assert decision([consent(bad)], "HRESCH", TODAY) in (None, "deny")


def deep(provision: dict, depth: int) -> dict:
    for _ in range(depth):
        provision = {**PERMIT, "provision": [provision]}
    return provision


def test_provisions_deeper_than_anyone_writes_deny():
    assert decision([consent(deep(PERMIT, 60))], "HRESCH", TODAY) == "deny"


# --- after de-identification ---


@pytest.mark.parametrize(
    ("provision", "answer"),
    [
        (PERMIT, "permit"),
        (DENY, "deny"),
        (
            {**PERMIT, "purpose": purposes("HRESCH"), "period": {"start": "2024-01-01", "end": "2030-01-01"}},
            "permit",
        ),
        ({**PERMIT, "provision": [{**DENY, "purpose": purposes("HRESCH")}]}, "deny"),
        ({**PERMIT, "period": {"start": "2020-01-01", "end": "2025-05-01"}}, None),
    ],
)
def test_the_rules_keep_what_a_decision_needs(tmp_path, provision, answer):
    content = one(tmp_path, consent(provision, dateTime="2024-01-01T10:00:00+01:00"))
    at = TODAY + PSEUDONYMS.shift(PSEUDONYMS.patient("p1", "fhir"))
    assert decision([content], "HRESCH", at) == answer


def test_times_of_the_day_do_not_make_a_deny_late(tmp_path):
    content = one(tmp_path, consent({**DENY, "period": {"start": "2025-06-01T00:00:00Z"}}))
    at = TODAY + PSEUDONYMS.shift(PSEUDONYMS.patient("p1", "fhir"))
    assert decision([content], "HRESCH", at) == "deny"
    assert decision([content], "HRESCH", at - timedelta(days=2)) is None


LOST = [
    {"purpose": [{"system": "http://own.example", "code": "x"}]},
    {"purpose": [*purposes("HRESCH"), {"system": "http://own.example", "code": "x"}]},
    {"period": {"start": "2024-01-01", "end": "someday"}},
    {"actor": [{"role": concept("http://own.example", "x"), "reference": {"display": "x"}}]},
    {"code": [concept("http://own.example", "x")]},
    {"extension": [{"url": "only-on-sundays", "valueBoolean": True}]},
    {"provision": [{"type": "permit", "purpose": [{"system": "http://own.example", "code": "x"}]}]},
]


@pytest.mark.parametrize("condition", LOST)
def test_a_permit_that_would_become_wider_is_refused(tmp_path, condition):
    _, refused = parted(imported(ndjson(tmp_path, patient(), consent(PERMIT | condition))))
    assert [each.reason for each in refused] == ["its permit depends on what the rules do not keep"]


@pytest.mark.parametrize("condition", LOST)
def test_a_deny_whose_conditions_are_lost_denies_everything(tmp_path, condition):
    content = one(tmp_path, consent(DENY | condition))
    assert content["provision"] == {"type": "deny"}
