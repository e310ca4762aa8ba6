"""Keys with which nothing secret can be agreed are those that the committed vectors list, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "masks.json").read_text())
PROPER = sorted({key for case in VECTORS["cases"] for key in case["context"]["mask_keys"]})


@pytest.mark.parametrize("key", VECTORS["low_order"])
def test_a_key_of_low_order_is_weak(libraries, key):
    assert libraries.isWeak("0x" + key)


@pytest.mark.parametrize(
    "key", [*PROPER, "02" + "00" * 31, "09" + "00" * 31, "ef" + "ff" * 30 + "7f", "ff" * 32]
)
def test_another_key_is_not(libraries, key):
    assert not libraries.isWeak("0x" + key)
