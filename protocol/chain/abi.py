"""The contracts' interfaces as data: calls in, results, events and errors out.

Names inside results and events are Solidity's (``hospitalId``); structs are dictionaries by those names, enums are
integers, ``bytes32`` is bytes, addresses carry their EIP-55 checksum. `Struct.of` makes a struct's dataclass of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from eth_abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils import keccak, to_checksum_address

from protocol.errors import ChainError, InvalidInput

Parameter = Mapping[str, Any]

# Any ERC-20 is read through the development token's interface, which has nothing but a mint beyond the standard.
ERC20 = "DevToken"
_ALIASES = {"RewardToken": ERC20}


@dataclass(frozen=True)
class Entry:
    """A function, event or error: its name, parameters, results, and the hash of its signature."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    hash: bytes

    @property
    def selector(self) -> bytes:
        """The first 4 bytes of the hash, which calls and errors start with."""
        return self.hash[:4]

    @property
    def signature(self) -> str:
        return f"{self.name}({','.join(map(type_of, self.inputs))})"


@dataclass(frozen=True)
class Abi:
    """One contract's interface. ``events`` by topic, ``errors`` by selector."""

    contract: str
    functions: Mapping[str, Entry]
    events: Mapping[bytes, Entry]
    errors: Mapping[bytes, Entry]

    def function(self, name: str) -> Entry:
        """Raises InvalidInput when the contract has no such function."""
        if name not in self.functions:
            raise InvalidInput(
                f"{self.contract} has no function {name}.", "The packaged ABIs may be out of date."
            )
        return self.functions[name]


@cache
def load(contract: str) -> Abi:
    """The packaged ABI of a contract. Raises InvalidInput when there is none."""
    contract = _ALIASES.get(contract, contract)
    if contract not in names():
        raise InvalidInput(f"There is no contract named {contract}.", f"Known: {', '.join(names())}.")
    text = (resources.files("protocol.chain") / "abi" / f"{contract}.json").read_text(encoding="utf-8")
    entries = [(item["type"], _entry(item)) for item in json.loads(text) if "name" in item]
    return Abi(
        contract,
        functions={entry.name: entry for kind, entry in entries if kind == "function"},
        events={entry.hash: entry for kind, entry in entries if kind == "event"},
        errors={entry.selector: entry for kind, entry in entries if kind == "error"},
    )


@cache
def names() -> tuple[str, ...]:
    """Every contract with a packaged ABI, sorted."""
    folder = resources.files("protocol.chain") / "abi"
    return tuple(
        sorted(path.name.removesuffix(".json") for path in folder.iterdir() if path.name.endswith(".json"))
    )


@cache
def all_errors() -> Mapping[bytes, Entry]:
    """The errors of every contract by selector: a call may fail deep inside another contract than the one called."""
    return {selector: entry for name in names() for selector, entry in load(name).errors.items()}


def encode_call(contract: str, function: str, args: Sequence[Any]) -> bytes:
    """Call data. Structs may be dataclasses with snake_case fields, or mappings by Solidity's names.

    Raises InvalidInput when the arguments do not fit the function.
    """
    entry = load(contract).function(function)
    if len(args) != len(entry.inputs):
        raise InvalidInput(
            f"{contract}.{entry.signature} takes {len(entry.inputs)} arguments, not {len(args)}."
        )
    values = [_plain(value, parameter) for value, parameter in zip(args, entry.inputs, strict=True)]
    try:
        return entry.selector + encode([type_of(each) for each in entry.inputs], values)
    except (EncodingError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{contract}.{entry.signature} cannot be called with {tuple(args)!r}: {error}"
        ) from error


def decode_call(contract: str, data: bytes) -> tuple[str, dict[str, Any]]:
    """The function and arguments that call data means. Raises InvalidInput when the contract has no such function."""
    for entry in load(contract).functions.values():
        if entry.selector == data[:4]:
            return entry.name, decode_values(entry.inputs, data[4:])
    raise InvalidInput(f"{contract} has no function with selector 0x{data[:4].hex()}.")


def decode_result(contract: str, function: str, data: bytes) -> Any:
    """What a call returned: the value, or a tuple when there are several, or None when there is none."""
    entry = load(contract).function(function)
    values = tuple(decode_values(entry.outputs, data).values())
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def decode_values(parameters: Sequence[Parameter], data: bytes) -> dict[str, Any]:
    """Values by name; those without a name by position. Raises ChainError when the bytes are not of these types."""
    try:
        values = decode([type_of(each) for each in parameters], data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise ChainError(
            "The node returned bytes that are not of the contract's types.", str(error)
        ) from error
    return {
        each["name"] or str(position): _named(value, each)
        for position, (each, value) in enumerate(zip(parameters, values, strict=True))
    }


def decode_log(entry: Entry, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
    """An event's arguments, indexed or not, in the order of their declaration."""
    indexed = [each for each in entry.inputs if each["indexed"]]
    plain = [each for each in entry.inputs if not each["indexed"]]
    found = decode_values(plain, data)
    for each, topic in zip(indexed, topics[1:], strict=True):
        # A string, array or struct is indexed by its hash alone.
        dynamic = each["type"] in ("string", "bytes", "tuple") or each["type"].endswith("]")
        found[each["name"]] = topic if dynamic else decode_values([each], topic)[each["name"]]
    return {each["name"]: found[each["name"]] for each in entry.inputs}


def encode_topic(parameter: Parameter, value: Any) -> bytes:
    """32 bytes that an indexed argument of a fixed-size type leaves in a log."""
    return encode([type_of(parameter)], [_plain(value, parameter)])


def type_of(parameter: Parameter) -> str:
    """Canonical type, structs spelt out: ``(bytes32,uint32)[]``."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(map(type_of, parameter['components']))}){kind.removeprefix('tuple')}"


def snake(name: str) -> str:
    """``trainRecords`` as Python spells it: ``train_records``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _entry(item: Mapping[str, Any]) -> Entry:
    inputs = tuple(item.get("inputs", ()))
    signature = f"{item['name']}({','.join(map(type_of, inputs))})"
    return Entry(item["name"], inputs, tuple(item.get("outputs", ())), keccak(text=signature))


def _plain(value: Any, parameter: Parameter) -> Any:
    """A value as eth_abi takes it: structs become tuples in the order of their components."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        element = {**parameter, "type": kind[: kind.rindex("[")]}
        return [_plain(each, element) for each in value]
    if kind == "tuple":
        return tuple(_plain(_component(value, each["name"]), each) for each in parameter["components"])
    if kind == "address" and not isinstance(value, str):
        raise InvalidInput(f"{value!r} is not an address.")
    if kind == "bytes32" and not (isinstance(value, bytes) and len(value) == 32):
        # eth_abi would pad a shorter one.
        raise InvalidInput(f"{parameter['name'] or 'A digest'} must be 32 bytes, not {value!r}.")
    if kind.startswith(("uint", "int")) and not isinstance(value, int):
        raise InvalidInput(f"{parameter['name'] or 'A number'} must be a whole number, not {value!r}.")
    return value


def _component(value: Any, name: str) -> Any:
    try:
        return value[name] if isinstance(value, Mapping) else getattr(value, snake(name))
    except (KeyError, AttributeError) as error:
        raise InvalidInput(f"{value!r} has no {name}.") from error


def _named(value: Any, parameter: Parameter) -> Any:
    """A decoded value with names: structs become dictionaries, addresses get their checksum."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        element = {**parameter, "type": kind[: kind.rindex("[")]}
        return [_named(each, element) for each in value]
    if kind == "tuple":
        pairs = zip(parameter["components"], value, strict=True)
        return {each["name"]: _named(part, each) for each, part in pairs}
    if kind == "address":
        return to_checksum_address(value)
    return value
