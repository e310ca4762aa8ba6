"""docs/ATTACKS.md is what `make attacks` measured, and what it measured can be measured again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.attacks import keys, poisoning
from tests.attacks.report import render

ROOT = Path(__file__).resolve().parents[2]
MEASURED = json.loads((ROOT / "tests" / "attacks" / "measured.json").read_text(encoding="utf-8"))


def test_the_page_holds_the_measured_figures() -> None:
    assert (ROOT / "docs" / "ATTACKS.md").read_text(encoding="utf-8") == render(MEASURED)


def test_a_row_of_the_table_comes_out_again() -> None:
    """One seed of the worst attack of 3 of 18: through the mean it ruins the model, as the page says."""
    _, federation = poisoning.eighteen()
    attack = dict.fromkeys(poisoning.ATTACKERS, poisoning.POISONINGS[poisoning.WORST])
    accuracy = federation.run(poisoning.NO_BOUND, attack, poisoning.SEEDS[0]).accuracy
    row = MEASURED["poisoning"]["eighteen"]["cells"][poisoning.WORST][poisoning.NO_BOUND.name]
    assert accuracy == pytest.approx(row["accuracy"], abs=0.05)


def test_masks_hide_from_all_but_everybody_else_and_the_keys_owner() -> None:
    found = keys.run()
    assert found["both others together"] == pytest.approx(1.0)
    assert found["a thief with the hospital's job key"] == pytest.approx(1.0)
    for who in ("anybody, from the masked update", "one colluder of the two others"):
        assert abs(found[who]) < 0.1, who
