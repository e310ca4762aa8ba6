"""The committed test vectors are those that the code gives."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_vectors.py"))


@pytest.mark.parametrize("name", SCRIPT["VECTORS"])
def test_a_vector_file_is_fresh(name):
    assert (ROOT / "tests" / "vectors" / name).read_text() == SCRIPT["text_of"](name), (
        "run scripts/make_vectors.py"
    )
