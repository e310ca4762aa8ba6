from __future__ import annotations

from protocol.fhir import synthetic
from tests.protocol.fhir.made import imported, parted, write

LABELS = {synthetic.PREDIABETES[0], synthetic.DIABETES[0]}


def codes(bundle: dict, kind: str) -> set[str]:
    return {
        each["resource"]["code"]["coding"][0]["code"]
        for each in bundle["entry"]
        if each["resource"]["resourceType"] == kind
    }


def test_the_same_seed_gives_the_same_patients():
    assert list(synthetic.patients(3, 5)) == list(synthetic.patients(3, 5)) != list(synthetic.patients(3, 6))
    assert list(synthetic.patients(5, 5))[:3] == list(synthetic.patients(3, 5))


def test_patients_have_what_the_cohort_reads_and_the_label_follows_from_it():
    everyone = list(synthetic.patients(300, 1))
    seen = set().union(*(codes(each, "Observation") for each in everyone))
    assert seen >= {"39156-5", "85354-9", "55284-4", "2093-3", "4548-4"}
    share = sum(bool(codes(each, "Condition") & LABELS) for each in everyone) / len(everyone)
    assert 0.15 < share < 0.45
    assert synthetic.risk(75, 34, 150) > 0.8 > 0.1 > synthetic.risk(25, 22, 110)


def test_their_bundles_are_taken_whole(tmp_path):
    for number, each in enumerate(synthetic.patients(10, 9)):
        write(tmp_path / f"{number}.json", each)
    clean, refused = parted(imported(tmp_path))
    assert not refused and len({each.patient for each in clean if each.patient}) == 10
