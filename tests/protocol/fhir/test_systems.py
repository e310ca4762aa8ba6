from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.fhir.systems import is_loinc, is_sctid, is_ucum
from tests.protocol.fhir.made import RULES


@pytest.mark.parametrize(
    "code", ["15777000", "44054006", "73211009", "38341003", "271737000", "428191000124101", "363406005"]
)
def test_concepts_of_snomed_ct(code):
    assert is_sctid(code)
    assert code in RULES.systems["http://snomed.info/sct"]
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    assert not is_sctid(wrong)


@pytest.mark.parametrize(
    "code", ["1", "06123456789", "185057800608436", "0612345678", "20240131", "34552-0", "Dupont"]
)
def test_numbers_of_people_are_no_concepts(code):
    assert code not in RULES.systems["http://snomed.info/sct"]


@pytest.mark.parametrize(
    "code", ["39156-5", "8480-6", "8462-4", "85354-9", "55284-4", "2093-3", "4548-4", "34109-9"]
)
def test_codes_of_loinc_have_their_check_digit(code):
    assert is_loinc(code)
    assert code in RULES.systems["http://loinc.org"]
    number, check = code.split("-")
    assert not is_loinc(f"{number}-{(int(check) + 3) % 10}")


@pytest.mark.parametrize(
    "unit",
    [
        "mg/dL", "mm[Hg]", "kg/m2", "10*3/uL", "mL/min/{1.73_m2}", "%", "[IU]/L", "/min",
        "Cel", "mmol/mol", "ng/mL{FEU}", "{score}", "ug/kg/h", "meq/L",
    ],
)  # fmt: skip
def test_units_of_ucum(unit):
    assert is_ucum(unit)


@pytest.mark.parametrize(
    "unit",
    [
        "", "Dupont", "2024", "0612345678", "{Dupont}", "mg{Dupont}", "units", "(score)",
        "kg kg", "Anna", "a@b.fr", "1850578006084",
    ],
)  # fmt: skip
def test_other_texts_are_no_units(unit):
    assert not is_ucum(unit)


@pytest.mark.parametrize("unit", ["24.12.8", "8/12/24", "10*24.8", "1009", "100.1000", "10*12.10*3"])
def test_units_do_not_spell_numbers(unit):
    assert not is_ucum(unit)


@pytest.mark.parametrize("unit", ["10*6/L", "/100{WBC}", "mg/24.h", "10*-3.[IU]/mL", "1000"])
def test_a_unit_may_have_one_factor(unit):
    assert is_ucum(unit)


@pytest.mark.parametrize("check", [is_sctid, is_loinc, is_ucum])
@given(text=st.text(max_size=30))
def test_checks_answer_any_text(check, text):
    assert check(text) in (True, False)
    assert not check("") and not check("Dupont") and not check("٤٤٠٥٤٠٠٦")


@given(st.text(max_size=60))
def test_any_text_is_answered(text):
    for codes in RULES.systems.values():
        assert (text in codes) in (True, False)


@pytest.mark.parametrize(
    ("system", "code", "kept"),
    [
        ("http://hl7.org/fhir/sid/icd-10-cm", "E11.9", True),
        ("http://hl7.org/fhir/sid/icd-10-cm", "DUPONT", False),
        ("http://www.whocc.no/atc", "A10BA02", True),
        ("http://www.whocc.no/atc", "ANNA", False),
        ("http://hl7.org/fhir/sid/cvx", "140", True),
        ("http://hl7.org/fhir/sid/cvx", "1400", False),
        ("urn:ietf:rfc:3986", "urn:oid:1.2.840.10008.5.1.4.1.1.77.1.5.1", True),
        ("urn:ietf:rfc:3986", "1.2.840.10008.5.1.4.1.1.2", True),
        ("urn:ietf:rfc:3986", "urn:oid:1.2.840.10008.5.1.4.1.980.02.03", False),
        ("urn:ietf:rfc:3986", "urn:oid:1.2.840.10008.5.1.4.1.1.02", False),
        ("urn:ietf:rfc:3986", "urn:oid:1.2.840.10008.5.1.4.06.12.34.56.78", False),
        ("http://dicom.nema.org/resources/ontology/DCM", "MR", True),
        ("http://dicom.nema.org/resources/ontology/DCM", "DUPONT", False),
        ("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M", True),
        ("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "Dupont", False),
    ],
)
def test_patterns_and_lists(system, code, kept):
    assert (code in RULES.systems[system]) is kept
