"""Imports go one way, and each foreign library lives in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "protocol"

# What each foundation may import of the rest. Every part may import errors and settings, and itself.
BASE = {"errors", "settings"}
FOUNDATIONS: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "chain": set(),
    "content": set(),
    "data": {"content"},
    "spec": {"content", "data"},
    "learning": {"content", "data", "spec"},
}
# What is built on them may import any of them, and one another without a circle, but not what acts for a person.
ACTORS: dict[str, set[str]] = {
    "node": set(),
    "trace": set(),
    "devnet": set(),
    "gateway": set(),
    "demo": {"node", "trace", "devnet", "gateway"},
    "cli": {"node", "trace", "devnet", "gateway", "demo"},
}
# Where each foreign library may be imported.
HOME_OF = {
    "torch": ("learning.train", "learning.zoo", "learning.metrics", "learning.dp_sgd", "learning.stream"),
    "opacus": ("learning.privacy", "learning.dp_sgd"),
    "web3": ("chain",),
    "eth_account": ("chain",),
    "eth_abi": ("chain",),
    "ipfshttpclient": ("content.ipfs",),
    "click": ("cli",),
    "cryptography": ("data", "vault", "gateway", "learning.masks", "chain.accounts", "node.job_keys"),
    "pydicom": ("imaging", "vault", "gateway"),
    "pynetdicom": ("gateway",),
    "pyarrow": ("vault",),
    "duckdb": ("vault",),
    "orjson": ("fhir", "vault", "data.synthea"),
    "ijson": ("fhir.streaming",),
    "stdnum": ("notes", "fhir"),
    "phonenumbers": ("notes",),
    "wordfreq": ("notes",),
    "faker": ("notes",),
    "sklearn": ("data", "learning"),
    "matplotlib": ("demo",),
    "prometheus_client": ("node.metrics",),
    "brownie": (),
}


def module_name(path: Path) -> str:
    """``chain.client`` for ``protocol/chain/client.py``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(path: Path) -> str:
    """The first name: ``chain`` for ``protocol/chain/client.py``."""
    return module_name(path).split(".")[0]


PARTS = {part_of(path) for path in FILES}


def imported_parts(path: Path) -> set[str]:
    """Other parts of Salus that a file imports."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("protocol.")}
    return (names & PARTS) - {part_of(path)}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    if part in FOUNDATIONS:
        allowed = FOUNDATIONS[part] | (BASE if part not in BASE else set())
    else:
        allowed = PARTS - set(ACTORS) | ACTORS.get(part, set())
    assert imported_parts(path) <= allowed


def test_no_parts_import_each_other() -> None:
    needs = {part: set[str]() for part in PARTS}
    for path in FILES:
        needs[part_of(path)] |= imported_parts(path)
    done: set[str] = set()
    while todo := PARTS - done:
        free = {part for part in todo if needs[part] <= done}
        assert free, f"these import each other: {sorted(todo)}"
        done |= free


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_a_foreign_library_has_one_home(path: Path) -> None:
    name = module_name(path)
    foreign = {imported.split(".")[0] for imported in imports(path)} & set(HOME_OF)
    strays = {
        library
        for library in foreign
        if not any(name == home or name.startswith(f"{home}.") for home in HOME_OF[library])
    }
    assert not strays
