"""Writes the ABIs that the Python package carries, from Brownie's build files.

    make abi                                 (or, with compiled contracts: python scripts/export_abi.py)

One file a deployed contract, named after it: the ABI alone, sorted, so that equal sources give equal bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "contracts"
ABI = ROOT / "protocol" / "chain" / "abi"

# What scripts/deploy.py deploys, by the name of the artifact; DevToken stands for any reward token.
CONTRACTS = (
    "Bonds",
    "Challenges",
    "ConsentToken",
    "DatasetRegistry",
    "DevToken",
    "HospitalRegistry",
    "ModelRegistry",
    "RewardPool",
    "SalusGovernor",
    "TimelockController",
    "TrainingJobs",
    "VoteToken",
)


def abi_of(name: str) -> bytes:
    """The ABI file of a compiled contract.

    Raises:
        SystemExit: the contract has not been compiled.
    """
    path = BUILD / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{name} is not compiled. Run `make compile`.")
    abi = json.loads(path.read_text())["abi"]
    ordered = sorted(
        abi, key=lambda item: (item["type"], item.get("name", ""), json.dumps(item, sort_keys=True))
    )
    return (json.dumps(ordered, indent=1, sort_keys=True) + "\n").encode()


def stale() -> list[str]:
    """Names of ABI files that are missing, superfluous or differ from what is compiled."""
    names = [name for name in CONTRACTS if read(ABI / f"{name}.json") != abi_of(name)]
    return names + [path.stem for path in sorted(ABI.glob("*.json")) if path.stem not in CONTRACTS]


def read(path: Path) -> bytes | None:
    """A file's bytes, or nothing when there is none."""
    return path.read_bytes() if path.exists() else None


def main() -> None:
    """Writes what differs, removes what no contract stands for, and says so."""
    ABI.mkdir(parents=True, exist_ok=True)
    for name in stale():
        path = ABI / f"{name}.json"
        if name in CONTRACTS:
            path.write_bytes(abi_of(name))
            print(f"abi: wrote {path.relative_to(ROOT)}")
        else:
            path.unlink()
            print(f"abi: removed {path.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
