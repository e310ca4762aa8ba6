// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Models and their versions, from base to release
/// @notice Versions only append. A base version is what its creator says; every later one is the outcome of a job that
/// passed its gate. Only the DAO's vote releases or withdraws.
interface IModelRegistry {
    enum Status {
        None,
        Base,
        Candidate,
        Released,
        Withdrawn
    }

    /// @notice A vector of int32 by its two digests.
    /// @param cid digest of the CIDv0 that finds the bytes.
    /// @param root chunk root that proves them.
    struct Vector {
        bytes32 cid;
        bytes32 root;
    }

    /// @notice A version. `parent` and `jobId` are zero for a base.
    struct Version {
        Status status;
        uint32 parent;
        uint32 jobId;
        Vector state;
    }

    event ModelCreated(uint32 indexed modelId, address indexed creator, string name);
    event VersionAdded(
        uint32 indexed modelId, uint32 indexed version, uint32 indexed jobId, uint32 parent, Status status, Vector state
    );
    event VersionReleased(uint32 indexed modelId, uint32 indexed version);
    event VersionWithdrawn(uint32 indexed modelId, uint32 indexed version);
    event JobsSet(address indexed jobs, bool allowed);

    /// @notice No model has this id.
    error UnknownModel(uint32 modelId);
    /// @notice The model has no such version.
    error UnknownModelVersion(uint32 modelId, uint32 version);
    /// @notice The version is not in the state that this step needs.
    error WrongStatus(uint32 modelId, uint32 version, Status status);
    /// @notice Only a jobs contract that the DAO has allowed may add candidates.
    error NotJobs(address caller);
    /// @notice A model's name is 1 to 64 bytes and its base state is named by two digests.
    error BadModel();

    /// @notice Creates a model with its base state as version 1. Anyone.
    function create(string calldata name, Vector calldata base) external returns (uint32 modelId);

    /// @notice Appends a candidate, the outcome of a job that passed its gate. Only an allowed jobs contract.
    function addCandidate(uint32 modelId, uint32 parent, uint32 jobId, Vector calldata state)
        external
        returns (uint32 version);

    /// @notice Releases a candidate. Only the timelock.
    function release(uint32 modelId, uint32 version) external;

    /// @notice Withdraws a released version. Only the timelock.
    function withdraw(uint32 modelId, uint32 version) external;

    /// @notice Allows or stops a jobs contract. Only the timelock.
    function setJobs(address jobs, bool allowed) external;

    /// @notice A version, counted from 1. Reverts with `UnknownModel` or `UnknownModelVersion`.
    function version(uint32 modelId, uint32 number) external view returns (Version memory);

    /// @notice A version that a job may start from: any but a withdrawn one. Reverts with `WrongStatus` too.
    function requireBase(uint32 modelId, uint32 number) external view returns (Vector memory state);

    /// @notice How many versions a model has. Reverts with `UnknownModel`.
    function versionCount(uint32 modelId) external view returns (uint32);

    /// @notice How many models there are: ids run from 1 to this.
    function modelCount() external view returns (uint32);
}
