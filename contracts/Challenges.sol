// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IChallenges} from "./interfaces/IChallenges.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {ITrainingJobs} from "./interfaces/ITrainingJobs.sol";
import {Chunks} from "./libraries/Chunks.sol";
import {Digests} from "./libraries/Digests.sol";
import {Groups} from "./libraries/Groups.sol";
import {Lanes} from "./libraries/Lanes.sol";

/// @title Challenges
/// @notice See `IChallenges`. No owner and no storage: what it says follows from the claim and the chain alone.
contract Challenges is IChallenges {
    using Chunks for Chunks.Way;
    using Lanes for uint256[64];

    /// @inheritdoc IChallenges
    function challenge(ITrainingJobs jobs, Claim calldata claim) external returns (bool proven) {
        uint32 challengerId = jobs.hospitals().requireOperator(msg.sender);
        bytes32 accumulator;
        (proven, accumulator) = _judge(jobs, claim);
        emit Challenged(address(jobs), claim.jobId, claim.round, challengerId, claim.chunkIndex, proven);

        jobs.decide(ITrainingJobs.Ruling(claim.jobId, claim.round, accumulator, challengerId, proven));
    }

    /// @inheritdoc IChallenges
    function check(ITrainingJobs jobs, Claim calldata claim) external view returns (bool proven) {
        (proven,) = _judge(jobs, claim);
    }

    /// @dev Whether the merge that the claim describes is false in the claimed chunk, and the accumulator of its updates.
    function _judge(ITrainingJobs jobs, Claim calldata claim)
        private
        view
        returns (bool isFalse, bytes32 accumulator)
    {
        accumulator = _requireStanding(jobs, claim);
        ITrainingJobs.MergeRule memory rule = jobs.mergeRule(claim.jobId);
        if (claim.chunkIndex >= Chunks.count(rule.lanes)) revert NoSuchChunk(claim.chunkIndex, rule.lanes);
        _requireChunks(claim, Chunks.way(rule.lanes, claim.chunkIndex), _stateBefore(jobs, claim));
        isFalse = _differs(claim, rule);
    }

    /// @dev That the claim's updates, in this order and these groups, and its next state are the merge that stands.
    function _requireStanding(ITrainingJobs jobs, Claim calldata claim) private view returns (bytes32 accumulator) {
        accumulator = Digests.attempt(claim.jobId, claim.round, claim.attempt, claim.labels);
        unchecked {
            for (uint256 i; i < claim.parts.length; ++i) {
                Part calldata part = claim.parts[i];
                accumulator = Digests.update(accumulator, part.index, part.update);
            }
        }
        bytes32 digest = Digests.merge(claim.jobId, claim.round, claim.attempt, accumulator, claim.next);
        if (digest != jobs.mergeDigest(claim.jobId, claim.round)) revert WrongClaim(claim.jobId, claim.round);
    }

    /// @dev Chunk root of the state that the round's updates were added to.
    function _stateBefore(ITrainingJobs jobs, Claim calldata claim) private view returns (bytes32) {
        uint32 jobId = claim.jobId;
        if (claim.round == 1) {
            ITrainingJobs.Job memory job = jobs.job(jobId);
            return jobs.models().version(job.modelId, job.baseVersion).state.root;
        }
        Previous calldata before = claim.previous;
        // Round 0 has no merge: what the claim describes is a round from 1.
        uint16 round = claim.round - 1;
        bytes32 digest = Digests.merge(jobId, round, before.attempt, before.accumulator, before.state);
        if (digest != jobs.mergeDigest(jobId, round)) revert WrongClaim(jobId, round);
        return before.state.root;
    }

    function _requireChunks(Claim calldata claim, Chunks.Way memory way, bytes32 before) private view {
        unchecked {
            uint256 n = claim.parts.length;
            for (uint256 i; i < n; ++i) {
                Part calldata part = claim.parts[i];
                if (!way.leadsTo(part.chunk, part.update.root)) revert BadChunk(i);
            }
            if (!way.leadsTo(claim.before, before)) revert BadChunk(n);
            if (!way.leadsTo(claim.claimed, claim.next.root)) revert BadChunk(n + 1);
        }
    }

    /// @dev Whether a lane of the claimed chunk is not what the rule gives; beyond the last lane that is zero.
    function _differs(Claim calldata claim, ITrainingJobs.MergeRule memory rule) private pure returns (bool) {
        unchecked {
            uint256[64][] memory groups = _sumGroups(claim);
            if (rule.rule == ITrainingJobs.Rule.Median) Lanes.median(groups);
            else Lanes.mean(groups);
            uint256 lanes = uint256(rule.lanes) - claim.chunkIndex * Chunks.LANES;
            return !_read(claim.claimed).isNext(_read(claim.before), groups[0], rule.serverStep, lanes);
        }
    }

    /// @dev The sum of each group that has a part in the merge.
    function _sumGroups(Claim calldata claim) private pure returns (uint256[64][] memory sums) {
        unchecked {
            uint256[16] memory sizes;
            uint256 count;
            for (uint256 i; i < claim.parts.length; ++i) {
                if (++sizes[Groups.labelOf(claim.labels, claim.parts[i].index)] == 1) ++count;
            }
            uint256[][16] memory sources;
            for (uint256 label; label < 16; ++label) {
                if (sizes[label] != 0) sources[label] = new uint256[](sizes[label]);
            }
            for (uint256 i; i < claim.parts.length; ++i) {
                Part calldata part = claim.parts[i];
                uint256 label = Groups.labelOf(claim.labels, part.index);
                sources[label][--sizes[label]] = _start(part.chunk);
            }
            sums = new uint256[64][](count);
            for (uint256 label; label < 16; ++label) {
                if (sources[label].length != 0) sums[--count] = Lanes.sum(sources[label]);
            }
        }
    }

    function _read(Chunk calldata chunk) private pure returns (uint256[64] memory) {
        uint256[] memory sources = new uint256[](1);
        sources[0] = _start(chunk);
        return Lanes.sum(sources);
    }

    /// @dev Where the bytes of a chunk begin in the calldata. `Chunks` has checked how many there are.
    function _start(Chunk calldata chunk) private pure returns (uint256 source) {
        bytes calldata lanes = chunk.lanes;
        assembly ("memory-safe") {
            source := lanes.offset
        }
    }
}
