// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";

/// @title Commitments to datasets that never leave their hospital
/// @notice Nobody owns this contract: there is nothing to administer.
contract DatasetRegistry is IDatasetRegistry {
    /// @dev A version. The first one's slot has room for what belongs to the dataset as a whole, so registering writes
    /// one slot fewer; `hospitalId` and `versionCount` are zero in later ones.
    struct Entry {
        uint32 trainRecords;
        uint32 heldOutRecords;
        uint40 registeredAt;
        uint32 hospitalId;
        uint32 versionCount;
        bytes32 commitment;
    }

    uint32 private constant FIRST = 1;

    IHospitalRegistry public immutable hospitals;

    /// @inheritdoc IDatasetRegistry
    uint32 public override datasetCount;
    mapping(uint32 datasetId => mapping(uint32 number => Entry)) private _entries;

    constructor(IHospitalRegistry hospitals_) {
        hospitals = hospitals_;
    }

    /// @inheritdoc IDatasetRegistry
    function register(Version calldata content) external override returns (uint32 datasetId) {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        bytes32 commitment = _commit(content);

        datasetId = ++datasetCount;
        _entries[datasetId][FIRST] = Entry(
            content.trainRecords, content.heldOutRecords, uint40(block.timestamp), hospitalId, FIRST, commitment
        );

        emit DatasetVersionRegistered(datasetId, hospitalId, FIRST, content);
    }

    /// @inheritdoc IDatasetRegistry
    function append(uint32 datasetId, Version calldata content) external override returns (uint32 number) {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Entry storage first = _first(datasetId);
        if (first.hospitalId != hospitalId) revert NotYourDataset(datasetId, hospitalId);
        bytes32 commitment = _commit(content);

        number = ++first.versionCount;
        _entries[datasetId][number] =
            Entry(content.trainRecords, content.heldOutRecords, uint40(block.timestamp), 0, 0, commitment);

        emit DatasetVersionRegistered(datasetId, hospitalId, number, content);
    }

    /// @inheritdoc IDatasetRegistry
    function hospitalOf(uint32 datasetId) external view override returns (uint32 hospitalId) {
        return _first(datasetId).hospitalId;
    }

    /// @inheritdoc IDatasetRegistry
    function version(uint32 datasetId, uint32 number) external view override returns (StoredVersion memory) {
        if (number == 0 || number > _first(datasetId).versionCount) revert UnknownVersion(datasetId, number);
        Entry storage entry = _entries[datasetId][number];
        return StoredVersion(entry.trainRecords, entry.heldOutRecords, entry.registeredAt, entry.commitment);
    }

    /// @inheritdoc IDatasetRegistry
    function versionCount(uint32 datasetId) external view override returns (uint32) {
        return _first(datasetId).versionCount;
    }

    function _first(uint32 datasetId) private view returns (Entry storage first) {
        first = _entries[datasetId][FIRST];
        if (first.hospitalId == 0) revert UnknownDataset(datasetId);
    }

    function _commit(Version calldata content) private pure returns (bytes32) {
        if (
            content.root == 0 || content.schemaDigest == 0 || content.profile == 0 || content.evidenceDigest == 0
                || content.trainRecords == 0
        ) revert EmptyVersion();
        return sha256(abi.encode(content.root, content.schemaDigest, content.profile, content.evidenceDigest));
    }
}
