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
        ITrainingJobs.MergeRule memory rule = jobs.mergeRule(claim.jobId);
        if (claim.chunkIndex >= Chunks.count(rule.lanes)) revert NoSuchChunk(claim.chunkIndex, rule.lanes);
        Chunks.Way memory way = Chunks.way(rule.lanes, claim.chunkIndex);

        uint256[] memory sources;
        (accumulator, sources) = _readParts(claim, way);
        bytes32 digest = Digests.merge(claim.jobId, claim.round, claim.attempt, accumulator, claim.next);
        if (digest != jobs.mergeDigest(claim.jobId, claim.round)) revert WrongClaim(claim.jobId, claim.round);
        uint256 before = way.prove(claim.before, _rootBefore(jobs, claim));
        if (before == 0) revert BadChunk(sources.length);
        uint256 claimed = way.prove(claim.claimed, claim.next.root);
        if (claimed == 0) revert BadChunk(sources.length + 1);

        uint256[][] memory groups = _group(claim.labels, sources);
        isFalse = !Lanes.isNext(
            claimed,
            before,
            rule.rule == ITrainingJobs.Rule.Median ? Lanes.median(groups) : Lanes.mean(groups),
            rule.serverStep,
            uint256(rule.lanes) - uint256(claim.chunkIndex) * Chunks.LANES
        );
    }

    /// @dev The accumulator of the updates in the order of the claim, and where their chunks begin in the calldata; from
    /// bit 32 on, whose they are.
    function _readParts(Claim calldata claim, Chunks.Way memory way)
        private
        view
        returns (bytes32 accumulator, uint256[] memory sources)
    {
        accumulator = Digests.attempt(claim.jobId, claim.round, claim.attempt, claim.labels);
        sources = new uint256[](claim.parts.length);
        unchecked {
            for (uint256 i; i < sources.length; ++i) {
                Part calldata part = claim.parts[i];
                uint8 index = part.index;
                accumulator = Digests.update(accumulator, index, part.update);
                uint256 source = way.prove(part.chunk, part.update.root);
                if (source == 0) revert BadChunk(i);
                sources[i] = uint256(index) << 32 | source;
            }
        }
    }

    /// @dev Chunk root of the state that the round's updates were added to.
    function _rootBefore(ITrainingJobs jobs, Claim calldata claim) private view returns (bytes32) {
        uint32 jobId = claim.jobId;
        if (claim.round == 1) {
            ITrainingJobs.Job memory job = jobs.job(jobId);
            return jobs.models().version(job.modelId, job.baseVersion).state.root;
        }
        Previous calldata before = claim.previous;
        // The claim describes a merge that stands, and none does in round 0.
        uint16 round = claim.round - 1;
        bytes32 digest = Digests.merge(jobId, round, before.attempt, before.accumulator, before.state);
        if (digest != jobs.mergeDigest(jobId, round)) revert WrongClaim(jobId, round);
        return before.state.root;
    }

    /// @dev Where the chunks of each group begin: only of groups that have a part in the merge.
    function _group(uint192 labels, uint256[] memory sources) private pure returns (uint256[][] memory groups) {
        unchecked {
            uint256[16] memory sizes;
            uint256 count;
            for (uint256 i; i < sources.length; ++i) {
                if (++sizes[Groups.labelOf(labels, sources[i] >> 32)] == 1) ++count;
            }
            groups = new uint256[][](count);
            uint256[][16] memory byLabel;
            for (uint256 label; count != 0; ++label) {
                if (sizes[label] != 0) groups[--count] = byLabel[label] = new uint256[](sizes[label]);
            }
            for (uint256 i; i < sources.length; ++i) {
                uint256 label = Groups.labelOf(labels, sources[i] >> 32);
                byLabel[label][--sizes[label]] = uint32(sources[i]);
            }
        }
    }
}
