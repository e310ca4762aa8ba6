"""The edge to a chain node: JSON-RPC over one kept-alive connection, every foreign exception mapped to ours.

Requests go through web3's HTTPProvider, which repeats reads that fail on the wire, and never a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3 import exceptions as web3_errors
from web3.providers.rpc.utils import ExceptionRetryConfiguration

from protocol.errors import ChainError, ChainUnreachable, InvalidInput, Refused, SalusError, TransactionLost

CONNECT_SECONDS = 5
# Ganache now and then leaves an estimate that runs while a block is mined without an answer, for good. Asked again it
# answers; and any node may be asked twice.
ESTIMATE_SECONDS = (2, 6)
BRIEF_SECONDS = 1
MAX_BATCH = 100

# Every exception class of web3 falls under one of these: nearest ancestor first.
FOREIGN: dict[type[BaseException], type[SalusError]] = {
    web3_errors.ContractLogicError: Refused,
    web3_errors.TimeExhausted: TransactionLost,
    # the node or the way to it
    web3_errors.BadResponseFormat: ChainUnreachable,
    web3_errors.CannotHandleRequest: ChainUnreachable,
    web3_errors.PersistentConnectionError: ChainUnreachable,
    web3_errors.ProviderConnectionError: ChainUnreachable,
    web3_errors.RequestTimedOut: ChainUnreachable,
    web3_errors.StaleBlockchain: ChainUnreachable,
    web3_errors.TaskNotRunning: ChainUnreachable,
    web3_errors.TooManyRequests: ChainUnreachable,
    # an answer that means something else than we asked
    web3_errors.BadFunctionCallOutput: ChainError,
    web3_errors.BlockNumberOutOfRange: ChainError,
    web3_errors.InsufficientData: ChainError,
    web3_errors.LogTopicError: ChainError,
    web3_errors.MethodNotSupported: ChainError,
    web3_errors.MultipleFailedRequests: ChainError,
    web3_errors.Web3RPCError: ChainError,
    # what the caller gave
    web3_errors.ABIConstructorNotFound: InvalidInput,
    web3_errors.ABIEventNotFound: InvalidInput,
    web3_errors.ABIFallbackNotFound: InvalidInput,
    web3_errors.ABIFunctionNotFound: InvalidInput,
    web3_errors.ABIReceiveNotFound: InvalidInput,
    web3_errors.InfuraProjectIdNotFound: InvalidInput,
    web3_errors.InvalidAddress: InvalidInput,
    web3_errors.InvalidEventABI: InvalidInput,
    web3_errors.InvalidTransaction: InvalidInput,
    web3_errors.MismatchedABI: InvalidInput,
    web3_errors.NameNotFound: InvalidInput,
    web3_errors.NoABIEventsFound: InvalidInput,
    web3_errors.NoABIFound: InvalidInput,
    web3_errors.NoABIFunctionsFound: InvalidInput,
    web3_errors.Web3AssertionError: ChainError,
    web3_errors.Web3AttributeError: InvalidInput,
    web3_errors.Web3TypeError: InvalidInput,
    web3_errors.Web3ValidationError: InvalidInput,
    web3_errors.Web3ValueError: InvalidInput,
    # the wire itself; requests' JSON error is a ValueError too
    requests.RequestException: ChainUnreachable,
    ConnectionError: ChainUnreachable,
    TimeoutError: ChainUnreachable,
    ValueError: ChainUnreachable,
}


class RpcError(ChainError):
    """The node answered with an error. ``data`` is whatever it attached: of a revert, its data in one of many forms."""

    def __init__(self, method: str, error: Any) -> None:
        if not isinstance(error, dict):
            error = {"message": str(error)}
        self.code = error.get("code")
        self.reason = str(error.get("message", ""))
        self.data = error.get("data")
        super().__init__(f"The chain node refused {method}: {self.reason}")


@contextmanager
def foreign_errors(url: str) -> Iterator[None]:
    """Raises ours in place of whatever web3 and requests raise."""
    try:
        yield
    except SalusError:
        raise
    except tuple(FOREIGN) as error:
        kind = next(FOREIGN[each] for each in type(error).__mro__ if each in FOREIGN)
        if kind is ChainUnreachable:
            # The client's own words repeat the whole URL, and with it the key of a paid node.
            raise ChainUnreachable(
                f"The chain node at {url} does not answer ({type(error).__name__}).", _HINT
            ) from error
        raise kind(f"The chain client failed: {error}") from error


class Rpc:
    """A chain node by its URL. Answers are as the node gave them: hexadecimal strings."""

    def __init__(self, url: str, timeout_seconds: float = 30) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(
                f"{url!r} is not the URL of a chain node.", "Give one that starts with http:// or https://."
            )
        parts = urlsplit(url)
        #: As errors, logs and metrics may name it: without path, query and user, which may hold a key.
        self.url = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._provider = HTTPProvider(
            url,
            request_kwargs={"timeout": (CONNECT_SECONDS, timeout_seconds)},
            exception_retry_configuration=ExceptionRetryConfiguration(
                errors=(requests.ConnectionError, requests.Timeout), retries=3
            ),
        )

        self._brief, *self._impatient = [
            HTTPProvider(
                url, request_kwargs={"timeout": (CONNECT_SECONDS, each)}, exception_retry_configuration=None
            )
            for each in (BRIEF_SECONDS, *ESTIMATE_SECONDS)
        ]

    def request(self, method: str, *params: Any) -> Any:
        """One request. Raises RpcError when the node answers with an error, ChainUnreachable when not at all."""
        with foreign_errors(self.url):
            response = self._asked_in_turn(method, list(params))
        return self._result(method, response)

    def briefly(self, method: str, *params: Any) -> Any | None:
        """The same, where an answer comes within `BRIEF_SECONDS` or is not waited for: None."""
        try:
            with foreign_errors(self.url):
                response = self._brief.make_request(method, list(params))  # type: ignore[arg-type]
        except ChainUnreachable as error:
            if isinstance(error.__cause__, requests.Timeout):
                return None
            raise
        return self._result(method, response)

    def _asked_in_turn(self, method: str, params: list[Any]) -> Any:
        for impatient in self._impatient if method == "eth_estimateGas" else ():
            try:
                return impatient.make_request(method, params)  # type: ignore[arg-type]
            except requests.Timeout:
                continue
        return self._provider.make_request(method, params)  # type: ignore[arg-type]

    def batch(self, requested: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Several reads in one round trip, results in order; the first error is raised."""
        results: list[Any] = []
        for start in range(0, len(requested), MAX_BATCH):
            page = requested[start : start + MAX_BATCH]
            with foreign_errors(self.url):
                responses = self._provider.make_batch_request(
                    [(method, list(params)) for method, params in page]
                )
            if isinstance(responses, dict):
                raise RpcError("a batch of reads", responses.get("error", responses))
            if len(responses) != len(page):
                raise ChainUnreachable(f"The chain node at {self.url} answered only part of a batch.", _HINT)
            pairs = zip(page, responses, strict=True)
            results += [self._result(method, response) for (method, _), response in pairs]
        return results

    def _result(self, method: str, response: Any) -> Any:
        if not isinstance(response, dict) or ("result" not in response and "error" not in response):
            raise ChainUnreachable(f"What answers at {self.url} is no chain node.", _HINT)
        if response.get("error") is not None:
            raise RpcError(method, response["error"])
        return response["result"]


_HINT = "Check SALUS_RPC_URL (or --network), and that the node runs; on a development network: `salus devnet status`."
