"""The packaged ABIs are those of the contracts as they are."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def export() -> ModuleType:
    """``scripts/export_abi.py`` as a module."""
    spec = importlib.util.spec_from_file_location("export_abi", ROOT / "scripts" / "export_abi.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_contracts_are_compiled_as_they_are(export: ModuleType) -> None:
    """Otherwise the next test would compare with yesterday's contracts: `make compile` first."""
    for name in export.CONTRACTS:
        build = json.loads((export.BUILD / f"{name}.json").read_text())
        source = ROOT / build["sourcePath"]
        assert build["sha1"] == hashlib.sha1(source.read_bytes()).hexdigest(), f"{name} has changed since"


def test_packaged_abis_are_fresh(export: ModuleType) -> None:
    assert export.stale() == [], "run `make abi` and commit what it writes"


def test_a_changed_abi_is_noticed(
    export: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ABI", tmp_path)
    for name in export.CONTRACTS:
        (tmp_path / f"{name}.json").write_bytes(export.abi_of(name))
    assert export.stale() == []
    (tmp_path / "VoteToken.json").write_text("[]\n")
    (tmp_path / "Gone.json").write_text("[]\n")
    assert export.stale() == ["VoteToken", "Gone"]
