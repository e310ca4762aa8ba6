"""Every contract fits the chain (EIP-170)."""

from __future__ import annotations

LIMIT_BYTES = 24_576


def test_each_contract_is_under_the_size_limit(compiled):
    sizes = {
        container._name: len(container._build["deployedBytecode"].removeprefix("0x")) // 2
        for container in compiled
        if container._build["sourcePath"].startswith("contracts/")
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size > LIMIT_BYTES} == {}
