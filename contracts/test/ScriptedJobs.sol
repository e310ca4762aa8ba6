// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {ITrainingJobs} from "../interfaces/ITrainingJobs.sol";

/// @title The jobs contract as far as a challenge asks it
/// @notice It says what the test wrote down, and keeps what was decided. It stands for the two registries as well.
contract ScriptedJobs {
    uint32 public constant OPERATOR_OF = 7;

    ITrainingJobs.MergeRule private _rule;
    bytes32 private _baseRoot;
    mapping(uint16 round => bytes32) private _digests;
    ITrainingJobs.Ruling private _ruling;

    function script(ITrainingJobs.MergeRule memory rule, bytes32 baseRoot) external {
        _rule = rule;
        _baseRoot = baseRoot;
    }

    function scriptMerge(uint16 round, bytes32 digest) external {
        _digests[round] = digest;
    }

    function decide(ITrainingJobs.Ruling calldata ruling) external {
        _ruling = ruling;
    }

    function decided() external view returns (ITrainingJobs.Ruling memory) {
        return _ruling;
    }

    function mergeRule(uint32) external view returns (ITrainingJobs.MergeRule memory) {
        return _rule;
    }

    function mergeDigest(uint32, uint16 round) external view returns (bytes32) {
        return _digests[round];
    }

    function job(uint32) external pure returns (ITrainingJobs.Job memory result) {
        result.modelId = 3;
        result.baseVersion = 2;
    }

    function version(uint32 modelId, uint32 number) external view returns (IModelRegistry.Version memory result) {
        require(modelId == 3 && number == 2, "another version");
        result.state.root = _baseRoot;
    }

    function hospitals() external view returns (address) {
        return address(this);
    }

    function models() external view returns (address) {
        return address(this);
    }

    function requireOperator(address) external pure returns (uint32) {
        return OPERATOR_OF;
    }
}
