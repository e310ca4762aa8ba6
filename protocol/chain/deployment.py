"""Where the contracts of one network are: a small JSON file that the deploy script writes and everyone else reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eth_utils import is_address, to_checksum_address

from protocol.chain.rpc import Rpc
from protocol.errors import InvalidInput, WrongChain


@dataclass(frozen=True)
class Deployment:
    """Contracts by name on one chain.

    ``genesis_hash``: "0x…" of block 0. ``block``: the first block that holds any of the contracts; events are read from
    there. ``contracts``: name to address; "RewardToken" is there on development networks only.
    """

    chain_id: int
    genesis_hash: str
    block: int
    contracts: Mapping[str, str]

    def __post_init__(self) -> None:
        checked = {name: to_checksum_address(address) for name, address in self.contracts.items()}
        object.__setattr__(self, "contracts", checked)

    @classmethod
    def load(cls, path: Path) -> Deployment:
        """Raises InvalidInput when the file is missing or is not a deployment."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(
                f"There is no deployment file at {path} ({error.strerror}).",
                "Start a development network with `salus devnet up`, or name the file in SALUS_DEPLOYMENT.",
            ) from error
        except ValueError as error:
            raise InvalidInput(
                f"{path} is not JSON: {error}.", "Write it again with the deploy script."
            ) from error
        return cls._parse(values, path)

    @classmethod
    def _parse(cls, values: Any, path: Path) -> Deployment:
        try:
            genesis_hash, contracts = str(values["genesis_hash"]), dict(values["contracts"])
            deployment = cls(int(values["chain_id"]), genesis_hash, int(values["block"]), contracts)
            if len(bytes.fromhex(deployment.genesis_hash.removeprefix("0x"))) != 32:
                raise ValueError("genesis_hash is not 32 bytes")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"{path} is not a deployment file: {error}.",
                "The deploy script writes it: chain_id, genesis_hash, block and contracts (name to address).",
            ) from error
        return deployment

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        os.replace(part, path)

    def address(self, name: str) -> str:
        """A contract's address by name; an address is returned as it is. Raises InvalidInput for an unknown name."""
        if name in self.contracts:
            return self.contracts[name]
        if is_address(name):
            return to_checksum_address(name)
        raise InvalidInput(
            f"The deployment has no contract {name}.", f"It has: {', '.join(self.contracts) or 'none'}."
        )

    def name_of(self, address: str) -> str | None:
        """The name of the contract at an address, if it is one of ours."""
        wanted = address.lower()
        return next((name for name, each in self.contracts.items() if each.lower() == wanted), None)

    def check(self, rpc: Rpc) -> None:
        """Raises WrongChain unless the node serves this chain, with code at every address."""
        questions: list[tuple[str, list[Any]]] = [
            ("eth_chainId", []),
            ("eth_getBlockByNumber", ["0x0", False]),
        ]
        questions += [("eth_getCode", [address, "latest"]) for address in self.contracts.values()]
        chain_id, genesis, *codes = rpc.batch(questions)
        if int(chain_id, 16) != self.chain_id:
            raise WrongChain(
                f"The node at {rpc.url} serves chain {int(chain_id, 16)}; the deployment is on chain {self.chain_id}.",
                "Name the node of that chain, or the deployment file of this one.",
            )
        found = genesis["hash"] if genesis else "none"
        if found.lower() != self.genesis_hash.lower():
            raise WrongChain(
                f"The node's chain {self.chain_id} began with block {found}, the deployment with {self.genesis_hash}.",
                "Another network uses the same chain id, or a development chain was reset: deploy again.",
            )
        empty = [
            name for name, code in zip(self.contracts, codes, strict=True) if code in ("0x", "0x0", None)
        ]
        if empty:
            raise WrongChain(
                f"There is no contract at {', '.join(f'{self.contracts[name]} ({name})' for name in empty)}.",
                "The deployment file is of another chain, or the node has not caught up yet.",
            )
