// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ITrainingJobs} from "../interfaces/ITrainingJobs.sol";

/// @title Records of a job as storage words
/// @notice Each record fits one slot. Here it is read and written whole, by code that stands once in the contract.
library Words {
    /// @dev The status takes three bits of its byte.
    uint256 private constant GROUPED = 1 << 7;
    uint256 private constant DRAWN = 1 << 248;

    /// @notice What changes while a job runs, and whether it draws groups. `mergedAt` and `rejected` are of the last merge.
    struct Progress {
        // A number: every read of an enumeration is checked, at thirty bytes of code.
        uint8 status;
        bool grouped;
        uint16 round;
        uint16 finalRounds;
        uint8 enrolled;
        uint48 present;
        uint40 since;
        uint16 rounds;
        uint8 minHospitals;
        uint8 maxHospitals;
        uint40 mergedAt;
        uint48 rejected;
    }

    /// @notice Where a round of a job is kept: one key, one hash.
    function roundKey(uint32 jobId, uint16 round) internal pure returns (uint256) {
        return uint256(jobId) << 16 | round;
    }

    /// @notice Where a hospital's place in a job is kept.
    function placeKey(uint32 jobId, uint32 hospitalId) internal pure returns (uint256) {
        return uint256(jobId) << 32 | hospitalId;
    }

    /// @notice Where the doubts about an update are kept.
    function doubtKey(uint32 jobId, uint16 round, uint8 attempt, uint8 index_) internal pure returns (uint256) {
        return uint256(jobId) << 32 | uint256(round) << 16 | uint256(attempt) << 8 | index_;
    }

    function pack(Progress memory p) internal pure returns (uint256) {
        return uint256(p.status) | (p.grouped ? GROUPED : 0) | uint256(p.round) << 8 | uint256(p.finalRounds) << 24
            | uint256(p.enrolled) << 40 | uint256(p.present) << 48 | uint256(p.since) << 96 | uint256(p.rounds) << 136
            | uint256(p.minHospitals) << 152 | uint256(p.maxHospitals) << 160 | uint256(p.mergedAt) << 168
            | uint256(p.rejected) << 208;
    }

    function unpack(uint256 word, Progress memory p) internal pure {
        p.status = uint8(word & (GROUPED - 1));
        p.grouped = word & GROUPED != 0;
        p.round = uint16(word >> 8);
        p.finalRounds = uint16(word >> 24);
        p.enrolled = uint8(word >> 40);
        p.present = uint48(word >> 48);
        p.since = uint40(word >> 96);
        p.rounds = uint16(word >> 136);
        p.minHospitals = uint8(word >> 152);
        p.maxHospitals = uint8(word >> 160);
        p.mergedAt = uint40(word >> 168);
        p.rejected = uint48(word >> 208);
    }

    function pack(ITrainingJobs.Round memory r) internal pure returns (uint256) {
        return uint256(r.participants) | uint256(r.submitted) << 48 | uint256(r.previous) << 96
            | uint256(r.attested) << 144 | uint256(r.merger) << 192 | uint256(r.attempt) << 200
            | uint256(r.voids) << 208 | uint256(r.since) << 216;
    }

    function unpack(uint256 word, ITrainingJobs.Round memory r) internal pure {
        r.participants = uint48(word);
        r.submitted = uint48(word >> 48);
        r.previous = uint48(word >> 96);
        r.attested = uint48(word >> 144);
        r.merger = uint8(word >> 192);
        r.attempt = uint8(word >> 200);
        r.voids = uint8(word >> 208);
        r.since = uint40(word >> 216);
    }

    function pack(ITrainingJobs.Draw memory d) internal pure returns (uint256) {
        return uint256(d.labels) | uint256(d.blockNumber) << 192 | uint256(d.round) << 232 | (d.drawn ? DRAWN : 0);
    }

    function unpack(uint256 word, ITrainingJobs.Draw memory d) internal pure {
        d.labels = uint192(word);
        d.blockNumber = uint40(word >> 192);
        d.round = uint16(word >> 232);
        d.drawn = word & DRAWN != 0;
    }

    function pack(ITrainingJobs.Participant memory p) internal pure returns (uint256) {
        return (p.exists ? 1 : 0) | uint256(p.index) << 8 | uint256(p.consentId) << 16 | uint256(p.datasetId) << 48
            | uint256(p.datasetVersion) << 80 | uint256(p.trainRecords) << 112 | uint256(p.heldOutRecords) << 144;
    }

    function unpack(uint256 word, ITrainingJobs.Participant memory p) internal pure {
        p.exists = uint8(word) != 0;
        p.index = uint8(word >> 8);
        p.consentId = uint32(word >> 16);
        p.datasetId = uint32(word >> 48);
        p.datasetVersion = uint32(word >> 80);
        p.trainRecords = uint32(word >> 112);
        p.heldOutRecords = uint32(word >> 144);
    }

    /// @notice Two fields of a participant, for steps that need no other.
    function index(uint256 participant) internal pure returns (uint8) {
        return uint8(participant >> 8);
    }

    function consentId(uint256 participant) internal pure returns (uint32) {
        return uint32(participant >> 16);
    }

    /// @notice Writes the id at `place`, which is zero so far. Eight ids share a word.
    function put(uint256[6] storage words, uint256 place, uint32 id) internal {
        words[place >> 3] |= uint256(id) << ((place & 7) << 5);
    }

    /// @notice The first `size` ids.
    function list(uint256[6] storage words, uint256 size) internal view returns (uint32[] memory ids) {
        ids = new uint32[](size);
        uint256 word;
        unchecked {
            for (uint256 place; place < size; ++place) {
                word = place & 7 == 0 ? words[place >> 3] : word >> 32;
                ids[place] = uint32(word);
            }
        }
    }
}
