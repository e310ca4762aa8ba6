"""The patients of the demonstration, and what it does when the first choice cannot be had."""

from __future__ import annotations

import pytest

from protocol.data import heart_disease
from protocol.demo.data import DemoData
from protocol.errors import DataUnavailable

MODEL_NAME_BYTES = 64


@pytest.fixture
def fallback(monkeypatch: pytest.MonkeyPatch) -> DemoData:
    def missing() -> None:
        raise DataUnavailable("No folder and no network.")

    monkeypatch.setattr(heart_disease, "load", missing)
    return DemoData.find()


def test_without_the_four_hospitals_it_says_so_and_takes_the_wisconsin_set(fallback: DemoData) -> None:
    assert fallback.name == "breast-cancer"
    assert "No folder and no network." in fallback.note
    assert len(fallback.hospitals) == 4


def test_its_template_fits_its_schema_and_its_title_is_a_model_name(fallback: DemoData) -> None:
    spec = fallback.template.complete(
        base_cid=bytes(32), base_root=bytes(32), schema=fallback.schema.to_dict(), retain_until=2_000_000_000
    )
    assert spec.model.parameters["inputs"] == fallback.schema.inputs
    assert 0 < len(fallback.title.encode()) <= MODEL_NAME_BYTES
