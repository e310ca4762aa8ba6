"""The contracts compiled by npm's solc, for tests that need bytecode and no Brownie; kept by the hash of the input."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
NODE_MODULES = ROOT / "node_modules"
IMPORT = re.compile(r"import\s+(?:[^\"']*?from\s+)?[\"']([^\"']+)[\"']", re.DOTALL)
COMPILE = """
const solc = require(process.argv[1]);
let input = '';
process.stdin.on('data', part => input += part).on('end', () => process.stdout.write(solc.compile(input)));
"""


# By the file that holds each.
CONTRACTS = {
    "contracts/VoteToken.sol": "VoteToken",
    "contracts/SalusGovernor.sol": "SalusGovernor",
    "contracts/HospitalRegistry.sol": "HospitalRegistry",
    "contracts/DatasetRegistry.sol": "DatasetRegistry",
    "contracts/ConsentToken.sol": "ConsentToken",
    "contracts/ModelRegistry.sol": "ModelRegistry",
    "contracts/RewardPool.sol": "RewardPool",
    "contracts/Bonds.sol": "Bonds",
    "contracts/Challenges.sol": "Challenges",
    "contracts/libraries/Proposals.sol": "Proposals",
    "contracts/TrainingJobs.sol": "TrainingJobs",
    "contracts/development/DevToken.sol": "DevToken",
    "@openzeppelin/contracts/governance/TimelockController.sol": "TimelockController",
}


def sources() -> dict[str, dict[str, str]]:
    """The contracts with all that they import, by the paths that solc knows them by."""
    found: dict[str, dict[str, str]] = {}
    waiting = list(CONTRACTS)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = NODE_MODULES / name if name.startswith("@") else ROOT / name
        text = path.read_text(encoding="utf-8")
        found[name] = {"content": text}
        for imported in IMPORT.findall(text):
            if imported.startswith("."):
                base = path.parent if not name.startswith("@") else (NODE_MODULES / name).parent
                root = ROOT if not name.startswith("@") else NODE_MODULES
                waiting.append(str((base / imported).resolve().relative_to(root.resolve())))
            else:
                waiting.append(imported)
    return found


def compile_all(cache: Path) -> dict[str, dict[str, Any]]:
    """``{"abi": …, "bytecode": "0x…"}`` by the name of each contract."""
    request = json.dumps(
        {
            "language": "Solidity",
            "sources": dict(sorted(sources().items())),
            "settings": {
                "evmVersion": "shanghai",
                "viaIR": True,
                "optimizer": {"enabled": True, "runs": 200},
                "outputSelection": {
                    file: {contract: ["abi", "evm.bytecode.object"]} for file, contract in CONTRACTS.items()
                },
            },
        }
    )
    kept = cache / f"{hashlib.sha256(request.encode()).hexdigest()}.json"
    if not kept.exists():
        done = subprocess.run(
            ["node", "-e", COMPILE, str(NODE_MODULES / "solc")],
            input=request,
            capture_output=True,
            text=True,
            check=True,
        )
        output = json.loads(done.stdout[done.stdout.index("{") :])
        errors = [
            each["formattedMessage"] for each in output.get("errors", []) if each["severity"] == "error"
        ]
        if errors:
            raise AssertionError("\n".join(errors))
        contracts = {
            name: {"abi": each["abi"], "bytecode": "0x" + each["evm"]["bytecode"]["object"]}
            for file, name in CONTRACTS.items()
            for each in [output["contracts"][file][name]]
        }
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(contracts))
        part.replace(kept)
    compiled: dict[str, dict[str, Any]] = json.loads(kept.read_text())
    return compiled
