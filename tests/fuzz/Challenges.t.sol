// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Challenges} from "../../contracts/Challenges.sol";
import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {IModelRegistry} from "../../contracts/interfaces/IModelRegistry.sol";
import {ITrainingJobs} from "../../contracts/interfaces/ITrainingJobs.sol";
import {Naive} from "./Naive.sol";
import {ScriptedJobs} from "../../contracts/test/ScriptedJobs.sol";

/// @title A claimed chunk is slashed if and only if it is wrong (invariant 5)
/// @notice Each run draws a job, a round, a chunk of every vector and what the merger claims; half of the claims are what
/// `Naive` computes, the others are changed in one place. Whether that made them wrong is seen by their bytes. That the
/// verdict moves the right bonds is tested on the real jobs contract, under Brownie.
contract ChallengesFuzz {
    using Naive for bytes;

    uint256 private constant CHUNK_LANES = 256;
    uint32 private constant JOB = 5;

    Challenges private immutable challenges = new Challenges();
    ScriptedJobs private immutable jobs = new ScriptedJobs();

    /// @dev Where the random numbers of a run come from.
    struct Dice {
        uint256 seed;
        uint256 thrown;
    }

    /// @dev A claim, and what the chunk that it claims should be.
    struct Case {
        IChallenges.Claim claim;
        ITrainingJobs.MergeRule rule;
        bytes expected;
        uint256 existing;
    }

    function testFuzz_mean(uint256 seed) external {
        slashedIfAndOnlyIfWrong(Dice(seed, 0), ITrainingJobs.Rule.Mean);
    }

    function testFuzz_median(uint256 seed) external {
        slashedIfAndOnlyIfWrong(Dice(seed, 0), ITrainingJobs.Rule.Median);
    }

    /// @notice One byte of one vector, path or digest changed after the fact: no verdict at all.
    function testFuzz_unproved(uint256 seed) external {
        Dice memory dice = Dice(seed, 0);
        Case memory c = draw(dice, ITrainingJobs.Rule(below(dice, 2)));
        script(c);
        bytes4 expected = spoil(dice, c);
        try challenges.challenge(ITrainingJobs(address(jobs)), c.claim) {
            assert(false);
        } catch (bytes memory reason) {
            assert(bytes4(reason) == expected);
        }
    }

    /// @notice Not by chance: each lane of a full chunk, one too much and one too little.
    function test_everyLane() external {
        Dice memory dice = Dice(7, 0);
        for (uint256 rule = 0; rule < 2; ++rule) {
            Case memory c = draw(dice, ITrainingJobs.Rule(rule));
            while (c.existing < CHUNK_LANES) c = draw(dice, ITrainingJobs.Rule(rule));
            for (uint256 lane = 0; lane < CHUNK_LANES; ++lane) {
                for (int256 off = -1; off < 2; ++off) {
                    bytes memory claimed = bytes.concat(c.expected);
                    claimed.setLane(lane, Naive.saturate(claimed.lane(lane) + off));
                    (c.claim.next.root, c.claim.claimed) = prove(dice, c, claimed);
                    script(c);
                    bool wrong = keccak256(claimed) != keccak256(c.expected);
                    assert(challenges.check(ITrainingJobs(address(jobs)), c.claim) == wrong);
                }
            }
        }
    }

    function slashedIfAndOnlyIfWrong(Dice memory dice, ITrainingJobs.Rule rule) private {
        Case memory c = draw(dice, rule);
        bool wrong = keccak256(c.claim.claimed.lanes) != keccak256(c.expected);
        bytes32 accumulator = script(c);

        assert(challenges.challenge(ITrainingJobs(address(jobs)), c.claim) == wrong);
        ITrainingJobs.Ruling memory ruling = jobs.decided();
        assert(ruling.proven == wrong && ruling.jobId == JOB && ruling.round == c.claim.round);
        assert(ruling.accumulator == accumulator && ruling.challengerId == jobs.OPERATOR_OF());
    }

    // --- a case -------------------------------------------------------------------------------------------------------

    function draw(Dice memory dice, ITrainingJobs.Rule rule) private pure returns (Case memory c) {
        // Seven of eight runs look at a last chunk of few lanes, which are soon computed; the others at any chunk.
        uint256 chunks = 1 + below(dice, 9);
        bool few = below(dice, 8) != 0;
        uint256 last = few ? 1 + below(dice, 24) : 1 + below(dice, CHUNK_LANES);
        uint256 index = few ? chunks - 1 : below(dice, chunks);
        c.existing = index == chunks - 1 ? last : CHUNK_LANES;
        c.rule = ITrainingJobs.MergeRule({
            lanes: uint32((chunks - 1) * CHUNK_LANES + last),
            serverStep: step(dice),
            rule: rule,
            groups: 16,
            masked: true
        });
        c.claim.jobId = JOB;
        c.claim.round = uint16(1 + below(dice, 3));
        c.claim.attempt = uint8(below(dice, 256));
        c.claim.chunkIndex = uint32(index);
        c.claim.previous.attempt = uint8(below(dice, 256));
        c.claim.previous.accumulator = bytes32(throwOne(dice));

        uint256 kind = below(dice, 4);
        bytes[] memory updates = drawParts(dice, c, kind);
        bytes memory state = chunk(dice, below(dice, 4), c.existing);
        bytes32 root;
        (root, c.claim.before) = prove(dice, c, state);
        c.claim.previous.state = IModelRegistry.Vector(bytes32(throwOne(dice)), root);
        c.expected = mergeOf(c, state, updates);
        bytes memory claimed = bytes.concat(c.expected);
        if (below(dice, 2) == 0) change(dice, claimed);
        (root, c.claim.claimed) = prove(dice, c, claimed);
        c.claim.next = IModelRegistry.Vector(bytes32(throwOne(dice)), root);
    }

    /// @dev Up to eight updates, of hospitals and in groups as they fall.
    function drawParts(Dice memory dice, Case memory c, uint256 kind) private pure returns (bytes[] memory updates) {
        uint256 n = 1 + below(dice, 8);
        uint256 groups = 1 + below(dice, n);
        c.claim.parts = new IChallenges.Part[](n);
        updates = new bytes[](n);
        uint256 first = below(dice, 41);
        for (uint256 i = 0; i < n; ++i) {
            updates[i] = chunk(dice, kind, c.existing);
            (bytes32 root, IChallenges.Chunk memory proved) = prove(dice, c, updates[i]);
            uint8 bit = uint8(first + i);
            c.claim.parts[i] = IChallenges.Part(bit, IModelRegistry.Vector(bytes32(throwOne(dice)), root), proved);
            // The last label too, and gaps between labels.
            uint256 group = groups == 1 ? 0 : (15 - below(dice, groups));
            c.claim.labels |= uint192(group << (4 * uint256(bit)));
        }
    }

    function mergeOf(Case memory c, bytes memory state, bytes[] memory updates)
        private
        pure
        returns (bytes memory result)
    {
        bytes[][] memory groups = groupsOf(c.claim, updates);
        int256[] memory sums = new int256[](groups.length);
        bool isMedian = c.rule.rule == ITrainingJobs.Rule.Median;
        result = new bytes(4 * CHUNK_LANES);
        for (uint256 lane = 0; lane < c.existing; ++lane) {
            result.setLane(lane, Naive.next(state, groups, lane, sums, isMedian, c.rule.serverStep));
        }
    }

    function groupsOf(IChallenges.Claim memory claim, bytes[] memory updates)
        private
        pure
        returns (bytes[][] memory groups)
    {
        uint256[16] memory sizes;
        uint256 count = 0;
        for (uint256 i = 0; i < updates.length; ++i) {
            if (++sizes[label(claim, i)] == 1) ++count;
        }
        groups = new bytes[][](count);
        for (uint256 group = 0; group < 16; ++group) {
            if (sizes[group] == 0) continue;
            bytes[] memory found = new bytes[](sizes[group]);
            uint256 filled = 0;
            for (uint256 i = 0; i < updates.length; ++i) {
                if (label(claim, i) == group) found[filled++] = updates[i];
            }
            groups[--count] = found;
        }
    }

    function label(IChallenges.Claim memory claim, uint256 part) private pure returns (uint256) {
        return (uint256(claim.labels) / 16 ** uint256(claim.parts[part].index)) % 16;
    }

    /// @dev One chunk among others that nobody shows.
    function prove(Dice memory dice, Case memory c, bytes memory lanes)
        private
        pure
        returns (bytes32 root, IChallenges.Chunk memory proved)
    {
        bytes32[] memory leaves = new bytes32[]((c.rule.lanes + CHUNK_LANES - 1) / CHUNK_LANES);
        for (uint256 i = 0; i < leaves.length; ++i) {
            leaves[i] = bytes32(throwOne(dice));
        }
        leaves[c.claim.chunkIndex] = Naive.leaf(c.rule.lanes, c.claim.chunkIndex, lanes);
        proved.lanes = lanes;
        (root, proved.path) = Naive.prove(leaves, c.claim.chunkIndex);
    }

    /// @dev Masked numbers, small ones, extremes, or a mix; beyond the last lane zero, or now and then not.
    function chunk(Dice memory dice, uint256 kind, uint256 existing) private pure returns (bytes memory lanes) {
        lanes = new bytes(4 * CHUNK_LANES);
        for (uint256 i = 0; i < existing; i += 8) {
            uint256 word = throwOne(dice);
            for (uint256 k = i; k < i + 8 && k < existing; ++k) {
                lanes.setLane(k, number(word % 2 ** 32, kind == 3 ? word % 3 : kind));
                word >>= 32;
            }
        }
        if (below(dice, 8) == 0) {
            for (uint256 i = existing; i < CHUNK_LANES; ++i) {
                lanes.setLane(i, -1);
            }
        }
    }

    function number(uint256 bits, uint256 way) private pure returns (int256) {
        if (way == 0) return Naive.asInt32(bits);
        if (way == 1) return int256(bits % 7) - 3;
        int256 edge = bits & 32 == 0 ? int256(type(int32).max) : int256(type(int32).min);
        return bits & 64 == 0 ? edge : edge / int256(1 + bits % 8);
    }

    function step(Dice memory dice) private pure returns (uint32) {
        uint256 way = below(dice, 4);
        if (way == 0) return 65_536;
        if (way == 1) return uint32(1 + below(dice, 65_535));
        if (way == 2) return type(uint32).max;
        return uint32(1 + below(dice, type(uint32).max));
    }

    /// @dev Changes a chunk in one place; a swap of equal lanes changes nothing.
    function change(Dice memory dice, bytes memory lanes) private pure {
        uint256 way = below(dice, 4);
        uint256 i = below(dice, CHUNK_LANES);
        if (way == 0) {
            lanes[below(dice, lanes.length)] ^= bytes1(uint8(1 << below(dice, 8)));
        } else if (way == 1) {
            int256 off = below(dice, 2) == 0 ? int256(1) : -1;
            lanes.setLane(i, Naive.saturate(lanes.lane(i) + off));
        } else if (way == 2) {
            lanes.setLane(i, Naive.asInt32(below(dice, 2 ** 32)));
        } else {
            uint256 j = below(dice, CHUNK_LANES);
            (int256 a, int256 b) = (lanes.lane(i), lanes.lane(j));
            lanes.setLane(i, b);
            lanes.setLane(j, a);
        }
    }

    /// @dev Makes the claim one that does not hold; the error that says so.
    function spoil(Dice memory dice, Case memory c) private pure returns (bytes4) {
        uint256 n = c.claim.parts.length;
        uint256 way = below(dice, 8);
        if (way < 3) {
            uint256 i = below(dice, n + 2);
            IChallenges.Chunk memory chosen =
                i < n ? c.claim.parts[i].chunk : i == n ? c.claim.before : c.claim.claimed;
            if (way == 0 || (way == 1 && chosen.path.length == 0)) {
                chosen.lanes[below(dice, chosen.lanes.length)] ^= bytes1(uint8(1 << below(dice, 8)));
            } else if (way == 1) {
                chosen.path[below(dice, chosen.path.length)] ^= bytes32(uint256(1) << below(dice, 256));
            } else {
                chosen.path = Naive.append(chosen.path, bytes32(throwOne(dice)));
            }
            return IChallenges.BadChunk.selector;
        }
        if (way == 3) {
            c.claim.labels ^= uint192(1) << uint192(below(dice, 192));
        } else if (way == 4) {
            c.claim.parts[below(dice, n)].index ^= uint8(1 << below(dice, 8));
        } else if (way == 5) {
            c.claim.parts[below(dice, n)].update.cid ^= bytes32(uint256(1) << below(dice, 256));
        } else if (way == 6) {
            c.claim.attempt ^= uint8(1 << below(dice, 8));
        } else {
            c.claim.next.root ^= bytes32(uint256(1) << below(dice, 256));
        }
        return IChallenges.WrongClaim.selector;
    }

    /// @dev Makes the claim the merge that stands.
    function script(Case memory c) private returns (bytes32 accumulator) {
        IChallenges.Claim memory m = c.claim;
        jobs.script(c.rule, m.previous.state.root);
        accumulator = sha256(abi.encode(m.jobId, m.round, m.attempt, m.labels));
        for (uint256 i = 0; i < m.parts.length; ++i) {
            IModelRegistry.Vector memory update = m.parts[i].update;
            accumulator = sha256(abi.encode(accumulator, m.parts[i].index, update.cid, update.root));
        }
        jobs.scriptMerge(m.round, digest(m.round, m.attempt, accumulator, m.next));
        // In round 1 there is none before: the base stands, and `previous` says nothing.
        IChallenges.Previous memory p = m.previous;
        if (m.round > 1) jobs.scriptMerge(m.round - 1, digest(m.round - 1, p.attempt, p.accumulator, p.state));
    }

    function digest(uint16 round, uint8 attempt, bytes32 accumulator, IModelRegistry.Vector memory state)
        private
        pure
        returns (bytes32)
    {
        return sha256(abi.encode(JOB, round, attempt, accumulator, state.cid, state.root));
    }

    // --- dice ---------------------------------------------------------------------------------------------------------

    function throwOne(Dice memory dice) private pure returns (uint256 result) {
        (uint256 seed, uint256 thrown) = (dice.seed, ++dice.thrown);
        // Without new memory for each throw.
        assembly ("memory-safe") {
            mstore(0, seed)
            mstore(0x20, thrown)
            result := keccak256(0, 0x40)
        }
    }

    function below(Dice memory dice, uint256 limit) private pure returns (uint256) {
        return throwOne(dice) % limit;
    }
}
