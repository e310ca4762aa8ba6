// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelRegistry} from "./IModelRegistry.sol";
import {ITrainingJobs} from "./ITrainingJobs.sol";

/// @title Challenges of merges
/// @notice Computes 256 lanes of a merge again from one chunk of every update and of the state before, and compares them
/// with the claimed next state. It keeps nothing and owns nothing; what it finds, the jobs contract acts upon.
///
/// A chunk is 1,024 bytes: 256 little-endian int32, zero-padded. Its leaf is sha256(0x00, uint32 lanes, uint32 index,
/// chunk), a node sha256(0x01, left, right), an odd node moves up; `path` has the siblings from the leaf up.
interface IChallenges {
    /// @notice One chunk of a vector and its Merkle path.
    struct Chunk {
        bytes lanes;
        bytes32[] path;
    }

    /// @notice One merged update, in the order of the chain. `index` is the hospital's bit.
    struct Part {
        uint8 index;
        IModelRegistry.Vector update;
        Chunk chunk;
    }

    /// @notice The merge before: what its digest is made of. All zero in round 1, where the base version stands.
    struct Previous {
        uint8 attempt;
        bytes32 accumulator;
        IModelRegistry.Vector state;
    }

    /// @notice A challenge of the merge of a round in one chunk.
    /// @param attempt the attempt whose updates were merged.
    /// @param labels the groups of the round (zero with one group).
    /// @param next the claimed next state.
    /// @param chunkIndex which chunk.
    struct Claim {
        uint32 jobId;
        uint16 round;
        uint8 attempt;
        uint192 labels;
        uint32 chunkIndex;
        Previous previous;
        IModelRegistry.Vector next;
        Part[] parts;
        Chunk before;
        Chunk claimed;
    }

    event Challenged(
        address indexed jobs, uint32 indexed jobId, uint16 indexed round, uint32 challengerId, uint32 chunkIndex, bool proven
    );

    /// @notice The claim does not describe the merge that stands for the round.
    error WrongClaim(uint32 jobId, uint16 round);
    /// @notice There is no such chunk.
    error NoSuchChunk(uint32 chunkIndex, uint32 lanes);
    /// @notice A chunk is not 1,024 bytes, or its path does not lead to its vector's root. `part`: the place among the
    /// updates; then the state before, then the claimed state.
    error BadChunk(uint256 part);

    /// @notice Challenges the merge of a round of `jobs`. Only an operator of a hospital with a bond in the job. Where one
    /// lane differs the merge is void and its merger slashed; where none does, the challenger is.
    function challenge(ITrainingJobs jobs, Claim calldata claim) external returns (bool proven);

    /// @notice Whether the claim would be proven, without consequences. Reverts as `challenge` does.
    function check(ITrainingJobs jobs, Claim calldata claim) external view returns (bool proven);
}
