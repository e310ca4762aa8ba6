// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {IModelRegistry} from "./interfaces/IModelRegistry.sol";

/// @title ModelRegistry
/// @notice See `IModelRegistry`. Names live in events: no rule reads them.
contract ModelRegistry is IModelRegistry, Ownable {
    mapping(uint32 modelId => Version[]) private _versions;
    mapping(address jobs => bool) public isJobs;
    /// @inheritdoc IModelRegistry
    uint32 public modelCount;

    constructor(address timelock) Ownable(timelock) {}

    /// @inheritdoc IModelRegistry
    function create(string calldata name, Vector calldata base) external returns (uint32 modelId) {
        uint256 length = bytes(name).length;
        if (length == 0 || length > 64 || base.cid == 0 || base.root == 0) revert BadModel();
        modelId = ++modelCount;
        emit ModelCreated(modelId, msg.sender, name);
        _append(modelId, Version(Status.Base, 0, 0, base));
    }

    /// @inheritdoc IModelRegistry
    function addCandidate(uint32 modelId, uint32 parent, uint32 jobId, Vector calldata state)
        external
        returns (uint32)
    {
        if (!isJobs[msg.sender]) revert NotJobs(msg.sender);
        _requireVersion(modelId, parent);
        return _append(modelId, Version(Status.Candidate, parent, jobId, state));
    }

    /// @inheritdoc IModelRegistry
    function release(uint32 modelId, uint32 number) external onlyOwner {
        _move(modelId, number, Status.Candidate, Status.Released);
        emit VersionReleased(modelId, number);
    }

    /// @inheritdoc IModelRegistry
    function withdraw(uint32 modelId, uint32 number) external onlyOwner {
        _move(modelId, number, Status.Released, Status.Withdrawn);
        emit VersionWithdrawn(modelId, number);
    }

    /// @inheritdoc IModelRegistry
    function setJobs(address jobs, bool allowed) external onlyOwner {
        isJobs[jobs] = allowed;
        emit JobsSet(jobs, allowed);
    }

    /// @inheritdoc IModelRegistry
    function version(uint32 modelId, uint32 number) external view returns (Version memory) {
        return _requireVersion(modelId, number);
    }

    /// @inheritdoc IModelRegistry
    function requireBase(uint32 modelId, uint32 number) external view returns (Vector memory) {
        Version storage entry = _requireVersion(modelId, number);
        if (entry.status == Status.Withdrawn) revert WrongStatus(modelId, number, entry.status);
        return entry.state;
    }

    /// @inheritdoc IModelRegistry
    function versionCount(uint32 modelId) external view returns (uint32) {
        _requireModel(modelId);
        return uint32(_versions[modelId].length);
    }

    function _append(uint32 modelId, Version memory entry) private returns (uint32 number) {
        Version[] storage versions = _versions[modelId];
        versions.push(entry);
        number = uint32(versions.length);
        emit VersionAdded(modelId, number, entry.jobId, entry.parent, entry.status, entry.state);
    }

    function _move(uint32 modelId, uint32 number, Status from, Status to) private {
        Version storage entry = _requireVersion(modelId, number);
        if (entry.status != from) revert WrongStatus(modelId, number, entry.status);
        entry.status = to;
    }

    function _requireModel(uint32 modelId) private view {
        if (modelId == 0 || modelId > modelCount) revert UnknownModel(modelId);
    }

    function _requireVersion(uint32 modelId, uint32 number) private view returns (Version storage) {
        _requireModel(modelId);
        Version[] storage versions = _versions[modelId];
        if (number == 0 || number > versions.length) revert UnknownModelVersion(modelId, number);
        return versions[number - 1];
    }
}
