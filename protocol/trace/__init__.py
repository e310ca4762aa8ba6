"""The verifier: re-checks a model version from chain and IPFS alone, with no key and no permission."""

from protocol.trace.check import Check
from protocol.trace.verifier import trace

__all__ = ["Check", "trace"]
