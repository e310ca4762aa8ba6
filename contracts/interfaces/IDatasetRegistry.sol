// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Commitments to datasets that never leave their hospital
/// @notice A dataset is a list of versions that only grows. The chain keeps counts and one commitment a version; the
/// event carries what the commitment hashes. No digest here is of a single patient: `root` is a Merkle root over
/// salted leaves.
interface IDatasetRegistry {
    /// @notice One version as its hospital states it.
    /// @param root Merkle root over the salted leaves of all records.
    /// @param trainRecords records used for training.
    /// @param heldOutRecords records kept for reporting.
    /// @param schemaDigest digest of the schema document: columns, centre, scale, category levels.
    /// @param profile name of the de-identification profile, ASCII, zero-padded.
    /// @param evidenceDigest digest of the evidence document, which holds no personal data.
    struct Version {
        bytes32 root;
        uint32 trainRecords;
        uint32 heldOutRecords;
        bytes32 schemaDigest;
        bytes32 profile;
        bytes32 evidenceDigest;
    }

    /// @notice What the chain keeps of a version.
    /// @param commitment sha256(abi.encode(root, schemaDigest, profile, evidenceDigest)).
    struct StoredVersion {
        uint32 trainRecords;
        uint32 heldOutRecords;
        uint40 registeredAt;
        bytes32 commitment;
    }

    event DatasetVersionRegistered(
        uint32 indexed datasetId, uint32 indexed hospitalId, uint32 version, Version content
    );

    /// @notice No dataset has this id.
    error UnknownDataset(uint32 datasetId);
    /// @notice The dataset has no such version.
    error UnknownVersion(uint32 datasetId, uint32 version);
    /// @notice The dataset belongs to another hospital.
    error NotYourDataset(uint32 datasetId, uint32 hospitalId);
    /// @notice A root, digest or profile is zero, or there is no training record.
    error EmptyVersion();

    /// @notice Registers a dataset with its first version. Only an active hospital's operator.
    function register(Version calldata content) external returns (uint32 datasetId);

    /// @notice Appends a version. Only the operator of the dataset's hospital.
    function append(uint32 datasetId, Version calldata content) external returns (uint32 version);

    /// @notice The hospital of a dataset. Reverts with `UnknownDataset`.
    function hospitalOf(uint32 datasetId) external view returns (uint32 hospitalId);

    /// @notice A version, counted from 1. Reverts with `UnknownDataset` or `UnknownVersion`.
    function version(uint32 datasetId, uint32 number) external view returns (StoredVersion memory);

    /// @notice How many versions a dataset has. Reverts with `UnknownDataset`.
    function versionCount(uint32 datasetId) external view returns (uint32);

    /// @notice How many datasets there are: ids run from 1 to this.
    function datasetCount() external view returns (uint32);
}
