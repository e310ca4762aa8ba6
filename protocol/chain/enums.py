"""Solidity enums, value for value."""

from __future__ import annotations

from enum import IntEnum

from protocol.chain.duo import Permission


class Role(IntEnum):
    """What an account is to a hospital (IHospitalRegistry.Role)."""

    NONE = 0
    ADMIN = 1
    OPERATOR = 2
    RETIRED = 3


class ModelStatus(IntEnum):
    """Where a model version stands (IModelRegistry.Status)."""

    NONE = 0
    BASE = 1
    CANDIDATE = 2
    RELEASED = 3
    WITHDRAWN = 4


class JobStatus(IntEnum):
    """Where a job stands (ITrainingJobs.Status)."""

    NONE = 0
    ENROLLING = 1
    RUNNING = 2
    PAUSED = 3
    REPORTING = 4
    FINISHED = 5
    CANCELLED = 6


class Rule(IntEnum):
    """How the sums of groups are combined (ITrainingJobs.Rule)."""

    MEAN = 0
    MEDIAN = 1


class ProposalState(IntEnum):
    """Where a proposal to the DAO stands (OpenZeppelin's IGovernor.ProposalState)."""

    PENDING = 0
    ACTIVE = 1
    CANCELED = 2
    DEFEATED = 3
    SUCCEEDED = 4
    QUEUED = 5
    EXPIRED = 6
    EXECUTED = 7


class Support(IntEnum):
    """A vote (OpenZeppelin's GovernorCountingSimple.VoteType)."""

    AGAINST = 0
    FOR = 1
    ABSTAIN = 2


# By the name that an ABI gives the type of a value.
BY_INTERNAL_TYPE: dict[str, type[IntEnum]] = {
    "enum IConsentToken.Permission": Permission,
    "enum IHospitalRegistry.Role": Role,
    "enum IModelRegistry.Status": ModelStatus,
    "enum ITrainingJobs.Status": JobStatus,
    "enum ITrainingJobs.Rule": Rule,
    "enum IGovernor.ProposalState": ProposalState,
}
