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


def sources() -> dict[str, dict[str, str]]:
    """Every contract of the repository with all that it imports, by the paths that solc knows them by."""
    found: dict[str, dict[str, str]] = {}
    waiting = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "contracts").rglob("*.sol"))]
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
    """``{"abi": …, "bytecode": "0x…", "links": …}`` by the name of each contract."""
    request = json.dumps(
        {
            "language": "Solidity",
            "sources": dict(sorted(sources().items())),
            "settings": {
                "evmVersion": "shanghai",
                "optimizer": {"enabled": True, "runs": 200},
                "outputSelection": {
                    "*": {"*": ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"]}
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
            name: {
                "abi": each["abi"],
                "bytecode": "0x" + each["evm"]["bytecode"]["object"],
                "links": each["evm"]["bytecode"]["linkReferences"],
            }
            for file in output["contracts"].values()
            for name, each in file.items()
        }
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(contracts))
        part.replace(kept)
    compiled: dict[str, dict[str, Any]] = json.loads(kept.read_text())
    return compiled
