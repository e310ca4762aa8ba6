"""Everything that Salus raises on purpose.

SalusError
├── InvalidInput              what the caller gave is wrong; nothing was changed
│   ├── SpecError             a job spec is malformed or not canonical
│   ├── DataError             a table, record or schema is not usable
│   ├── Unclean               an image that cannot be de-identified with confidence
│   └── LearningError         numbers that cannot be trained on or merged
│       ├── NotFinite         NaN or infinity
│       └── WrongLength       a vector of another length than the model's
├── DataUnavailable           a public data set can not be had
├── MissingLibrary            a library of the system is not installed
├── AccountError              no such keystore, or a wrong password
├── ChainError
│   ├── ChainUnreachable      no node answers
│   ├── WrongChain            another chain, or without our contracts
│   ├── Refused               a contract refused: the error's name, its arguments, and a sentence
│   ├── InsufficientFunds     the account cannot pay for gas
│   └── TransactionLost       sent, and not mined in time
├── ContentError
│   ├── IpfsUnreachable       no daemon answers, or it stopped half-way
│   ├── ContentUnavailable    nobody serves this content in time
│   ├── DigestMismatch        the bytes are not those that the digest names
│   ├── ContentTooLarge       more bytes than allowed
│   └── PinFailed             the daemon could not keep the bytes
├── NodeError
│   ├── AlreadyRunning        another process is this hospital's node
│   ├── AdmissionRefused      the hospital's own policy says no
│   ├── BudgetSpent           the consent's privacy budget does not allow the training
│   ├── JournalError          the journal is missing or does not match
│   └── JobKeyError           the hospital's mask key for a job cannot be kept or opened
└── DevnetError               the development network cannot start or stop
"""

from __future__ import annotations

from typing import Any


class SalusError(Exception):
    """An error with a way out: ``message`` says what happened to what, ``hint`` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidInput(SalusError):
    """What the caller gave is wrong; nothing was changed."""


class SpecError(InvalidInput):
    """A job spec is malformed: ``path`` names the place, as in ``training.loss``."""

    def __init__(self, path: str, reason: str, hint: str = "") -> None:
        super().__init__(f"Job spec, {path}: {reason}" if path else f"Job spec: {reason}", hint)
        self.path = path
        self.reason = reason


class DataError(InvalidInput):
    """A table, record or schema is not usable."""


class Unclean(InvalidInput):
    """An image that cannot be de-identified with confidence. The message says why, and quotes no value of it."""


class VaultError(SalusError):
    """The hospital's store of instances cannot be opened, or what it holds was altered."""


class GatewayError(SalusError):
    """The gateway for devices cannot go on."""


class LearningError(InvalidInput):
    """Numbers that cannot be trained on or merged."""


class NotFinite(LearningError):
    """NaN or infinity where a number belongs."""


class WrongLength(LearningError):
    """A vector of another length than the model's."""


class DataUnavailable(SalusError):
    """A public data set can not be had."""


class MissingLibrary(SalusError):
    """A library of the system is not installed."""


class AccountError(SalusError):
    """No such keystore, or a wrong password."""


class ChainError(SalusError):
    """Something between us and the chain."""


class ChainUnreachable(ChainError):
    """No node answers."""


class WrongChain(ChainError):
    """Another chain than the deployment's, or one without our contracts."""


class Refused(ChainError):
    """A contract refused: ``name`` and ``args`` are its error's, ``message`` says it in words."""

    def __init__(
        self, message: str, hint: str = "", *, name: str = "", args: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.name = name
        self.arguments = args or {}


class InsufficientFunds(ChainError):
    """The account cannot pay for gas."""


class TransactionLost(ChainError):
    """A transaction was sent, and not mined in time."""


class ContentError(SalusError):
    """Something between us and IPFS."""


class IpfsUnreachable(ContentError):
    """No daemon answers, or it stopped half-way."""


class ContentUnavailable(ContentError):
    """Nobody serves this content in time."""


class StillComing(ContentUnavailable):
    """Nobody knows yet: it is being fetched."""


class DigestMismatch(ContentError):
    """The bytes are not those that the digest names."""


class WrongRoot(DigestMismatch):
    """The bytes have the content id that was posted, and not the chunk root."""


class ContentTooLarge(ContentError):
    """More bytes than allowed."""


class PinFailed(ContentError):
    """The daemon could not keep the bytes."""


class NodeError(SalusError):
    """A hospital's node cannot go on."""


class AlreadyRunning(NodeError):
    """Another process is this hospital's node."""


class AdmissionRefused(NodeError):
    """The hospital's own policy says no to a job."""


class BudgetSpent(NodeError):
    """The consent's privacy budget does not allow the training; nothing was trained."""


class JournalError(NodeError):
    """The journal is missing, or holds something else than it should."""


class JobKeyError(NodeError):
    """The hospital's mask key for a job cannot be kept or opened."""


class DevnetError(SalusError):
    """The development network cannot start or stop."""
