// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IBonds} from "./interfaces/IBonds.sol";
import {IConsentToken} from "./interfaces/IConsentToken.sol";
import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {ITrainingJobs} from "./interfaces/ITrainingJobs.sol";
import {Bits} from "./libraries/Bits.sol";
import {Digests} from "./libraries/Digests.sol";
import {Turns} from "./libraries/Turns.sol";
import {Words} from "./libraries/Words.sol";

/// @title What TrainingJobs remembers, and the questions it asks of it
/// @notice Nothing in this file changes a job by itself.
///
/// Each round builds on the merge of the round before, called the last merge: its digest is `_mergeDigests` of
/// `progress.round - 1`, its attestations lie in the open round's slot, its rejections in the job's progress. It is
/// final from the moment that `_isFinal` says so; `finalRounds` counts it when something is built on it.
abstract contract JobRecords is ITrainingJobs {
    using Bits for uint48;

    /// @dev One storage slot.
    struct Terms {
        uint32 enrol;
        uint32 submit;
        uint32 merge;
        uint32 check;
        uint32 report;
        uint32 pause;
        uint32 modelId;
        uint32 baseVersion;
    }

    /// @dev One storage slot: reports, the gate, and the fields of `MergeRule` (which as a struct would take another).
    struct Tally {
        uint64 correct;
        uint64 total;
        uint16 gateBps;
        uint32 lanes;
        uint32 serverStep;
        Rule rule;
        uint8 groups;
        bool masked;
    }

    /// @dev `Words` packs `progress`, `draw` and the lists of ids, which are in the order of their bits.
    /// `accumulators[round & 1]` belongs to the open round, the other to the last merge, which may yet be void.
    struct Record {
        uint256 progress;
        Terms terms;
        IConsentToken.Purpose purpose;
        Tally tally;
        bytes32[2] accumulators;
        bytes32 specDigest;
        bytes32 irbApproval;
        uint256[6] hospitalIds;
        uint256[6] consentIds;
        uint256 draw;
    }

    IHospitalRegistry public immutable hospitals;
    IDatasetRegistry public immutable datasets;
    IConsentToken public immutable consents;
    IModelRegistry public immutable models;
    IRewardPool public immutable rewards;
    IBonds public immutable bonds;
    /// @notice The contract that says which merges are proved false.
    address public immutable challenges;

    /// @inheritdoc ITrainingJobs
    uint32 public jobCount;
    mapping(uint32 jobId => Record) internal _jobs;
    /// @dev In a stored round `merger` is the one of the round before: it is written with the first vote on that merge.
    mapping(uint256 jobAndRound => uint256) private _rounds;
    mapping(uint256 jobAndRound => bytes32) internal _mergeDigests;
    mapping(uint256 jobAndHospital => uint256) private _participants;
    /// @dev Who doubts an update: bits of voters.
    mapping(uint256 jobRoundAttemptAndIndex => uint48) internal _doubts;

    constructor(
        IHospitalRegistry hospitalRegistry,
        IDatasetRegistry datasetRegistry,
        IConsentToken consentToken,
        IModelRegistry modelRegistry,
        IRewardPool rewardPool,
        IBonds bonds_,
        address challenges_
    ) {
        hospitals = hospitalRegistry;
        datasets = datasetRegistry;
        consents = consentToken;
        models = modelRegistry;
        rewards = rewardPool;
        bonds = bonds_;
        challenges = challenges_;
    }

    /// @inheritdoc ITrainingJobs
    function job(uint32 jobId) external view returns (Job memory result) {
        Words.Progress memory progress = _load(jobId);
        Record storage record = _jobs[jobId];
        Terms memory terms = record.terms;
        result.status = Status(progress.status);
        result.round = progress.round;
        Round memory slot = _round(jobId, progress.round);
        bool stands = progress.status < uint8(Status.Finished) && _isFinal(jobId, progress, slot);
        result.finalRounds = stands && !_isCounted(progress) ? progress.finalRounds + 1 : progress.finalRounds;
        result.enrolled = progress.enrolled;
        result.present = progress.present;
        result.since = progress.since;
        result.rounds = progress.rounds;
        result.minHospitals = progress.minHospitals;
        result.maxHospitals = progress.maxHospitals;
        result.gateBps = record.tally.gateBps;
        result.merge = mergeRule(jobId);
        result.modelId = terms.modelId;
        result.baseVersion = terms.baseVersion;
        result.phases = Phases(terms.enrol, terms.submit, terms.merge, terms.check, terms.report, terms.pause);
        result.purpose = record.purpose;
        result.specDigest = record.specDigest;
        result.irbApproval = record.irbApproval;
        if (slot.attempt != 0) {
            result.accumulator = progress.round > progress.rounds
                ? record.accumulators[progress.rounds & 1]
                : _accumulator(jobId, progress, slot);
        }
    }

    /// @inheritdoc ITrainingJobs
    function roundOf(uint32 jobId, uint16 round) external view returns (Round memory slot) {
        slot = _round(jobId, round);
        uint16 open = uint16(_jobs[jobId].progress >> 8);
        // What a void left of the rounds after it counts for nothing, but no attempt's number is used twice.
        if (round > open) return Round(0, 0, 0, 0, 0, slot.attempt, 0, 0);
        if (round == open) {
            slot.merger = 0;
            return slot;
        }
        // Past the last number there is no round, and at zero nothing is stored.
        unchecked {
            slot.merger = _round(jobId, round + 1).merger;
        }
    }

    /// @inheritdoc ITrainingJobs
    function mergeDigest(uint32 jobId, uint16 round) external view returns (bytes32) {
        // A void leaves the digests of the rounds after it where they are.
        return round < uint16(_jobs[jobId].progress >> 8) ? _mergeDigests[Words.roundKey(jobId, round)] : bytes32(0);
    }

    /// @inheritdoc ITrainingJobs
    function drawOf(uint32 jobId) external view returns (Draw memory) {
        return _draw(jobId, _load(jobId));
    }

    /// @inheritdoc ITrainingJobs
    function mergeRule(uint32 jobId) public view returns (MergeRule memory) {
        Tally storage tally = _jobs[jobId].tally;
        return MergeRule(tally.lanes, tally.serverStep, tally.rule, tally.groups, tally.masked);
    }

    /// @inheritdoc ITrainingJobs
    function bondsFreeAt(uint32 jobId) external view returns (uint40) {
        Words.Progress memory progress = _load(jobId);
        if (_is(progress, Status.Finished)) return progress.since;
        if (!_is(progress, Status.Cancelled)) return type(uint40).max;
        return progress.since + _jobs[jobId].terms.check;
    }

    /// @inheritdoc ITrainingJobs
    function participant(uint32 jobId, uint32 hospitalId) external view returns (Participant memory result) {
        Words.unpack(_participants[Words.placeKey(jobId, hospitalId)], result);
    }

    /// @inheritdoc ITrainingJobs
    function hospitalsOf(uint32 jobId) external view returns (uint32[] memory) {
        Words.Progress memory progress;
        Words.unpack(_jobs[jobId].progress, progress);
        return Words.list(_jobs[jobId].hospitalIds, progress.enrolled);
    }

    /// @inheritdoc ITrainingJobs
    function mergersInLine(uint32 jobId) external view returns (uint48 line) {
        Words.Progress memory progress;
        Words.unpack(_jobs[jobId].progress, progress);
        Round memory slot = _round(jobId, progress.round);
        if (!_is(progress, Status.Running) || slot.submitted != slot.participants) return 0;
        if (!_isFinal(jobId, progress, slot)) return 0;
        for (uint48 left = slot.submitted & progress.present; left != 0; left &= left - 1) {
            uint48 member = left & (~left + 1);
            if (block.timestamp >= _turnOf(jobId, progress, slot, member)) line |= member;
        }
    }

    /// @dev The hospital of the caller, who must be its operator.
    function _operator() internal view returns (uint32) {
        return hospitals.requireOperator(msg.sender);
    }

    function _load(uint32 jobId) internal view returns (Words.Progress memory progress) {
        Words.unpack(_jobs[jobId].progress, progress);
        if (_is(progress, Status.None)) revert UnknownJob(jobId);
    }

    function _round(uint32 jobId, uint16 round) internal view returns (Round memory slot) {
        Words.unpack(_rounds[Words.roundKey(jobId, round)], slot);
    }

    function _isEnrolled(uint32 jobId, uint32 hospitalId) internal view returns (bool) {
        return _participants[Words.placeKey(jobId, hospitalId)] != 0;
    }

    /// @dev A hospital's place, packed.
    function _placeOf(uint32 jobId, uint32 hospitalId) internal view returns (uint256 place) {
        place = _participants[Words.placeKey(jobId, hospitalId)];
        if (place == 0) revert NotEnrolled(jobId, hospitalId);
    }

    /// @dev The hospital whose merge the round in `next` builds on.
    function _mergerOf(uint32 jobId, Words.Progress memory progress, Round memory next) internal view returns (uint32) {
        return Words.list(_jobs[jobId].hospitalIds, progress.enrolled)[next.merger - 1];
    }

    /// @dev A hospital's bit.
    function _memberOf(uint32 jobId, uint32 hospitalId) internal view returns (uint48) {
        return Bits.only(Words.index(_placeOf(jobId, hospitalId)));
    }

    /// @dev That this attempt of this round is the open one.
    function _requireOpen(
        uint32 jobId,
        Words.Progress memory progress,
        Round memory slot,
        uint16 round,
        uint8 attempt
    ) internal view {
        _requireStatus(jobId, progress, Status.Running, Status.Running);
        if (round != progress.round || attempt != slot.attempt) _refuseRound(jobId, progress);
    }

    function _refuseRound(uint32 jobId, Words.Progress memory progress) internal view {
        revert NotOpen(jobId, progress.round, _round(jobId, progress.round).attempt);
    }

    /// @dev That the job is in one of the statuses from `first` to `last`.
    function _requireStatus(uint32 jobId, Words.Progress memory progress, Status first, Status last) internal pure {
        if (progress.status < uint8(first) || progress.status > uint8(last)) {
            revert WrongJobStatus(jobId, Status(progress.status));
        }
    }

    function _is(Words.Progress memory progress, Status status) internal pure returns (bool) {
        return progress.status == uint8(status);
    }

    /// @dev That `member`, a hospital of this id, is one of `set`.
    function _requireMember(uint48 set, uint48 member, uint32 jobId, uint16 round, uint32 hospitalId) internal pure {
        if (set & member == 0) revert NotParticipant(jobId, round, hospitalId);
    }

    /// @dev That `member`, a hospital of this id, is none of `done`.
    function _requireFirst(uint48 done, uint48 member, uint32 jobId, uint16 round, uint32 hospitalId) internal pure {
        if (done & member != 0) revert AlreadyDone(jobId, round, hospitalId);
    }

    /// @dev That the merge of this digest is the one that stands for `round`.
    function _requireStanding(uint32 jobId, uint16 round, bytes32 digest) internal view {
        bytes32 standing = _mergeDigests[Words.roundKey(jobId, round)];
        if (digest != standing) revert WrongMerge(jobId, round, standing);
    }

    /// @dev That `round` is the one whose merge may be judged.
    function _requireLastMerge(uint32 jobId, Words.Progress memory progress, uint16 round) internal view {
        _requireStatus(jobId, progress, Status.Running, Status.Reporting);
        if (round == 0 || round != _lastMerged(progress)) _refuseRound(jobId, progress);
    }

    /// @dev That `member` may judge the last merge, and means the one that stands.
    function _requireJudge(
        uint32 jobId,
        Words.Progress memory progress,
        Round memory slot,
        uint48 member,
        uint32 hospitalId,
        bytes32 digest
    ) internal view {
        uint16 round = _lastMerged(progress);
        _requireMember(slot.previous, member, jobId, round, hospitalId);
        _requireStanding(jobId, round, digest);
        _requireFirst(slot.attested | progress.rejected, member, jobId, round, hospitalId);
    }

    /// @dev The last round's preimage was never stored whole: whoever finishes names the state again.
    function _requireLastState(uint32 jobId, uint16 round, IModelRegistry.Vector calldata state) internal view {
        _requireStanding(jobId, round, _digestOf(jobId, round, _round(jobId, round).attempt, state));
    }

    /// @dev The accumulator of the open attempt. What its slot holds before the first update is of another attempt.
    function _accumulator(uint32 jobId, Words.Progress memory progress, Round memory slot)
        internal
        view
        returns (bytes32)
    {
        if (slot.submitted != 0) return _jobs[jobId].accumulators[progress.round & 1];
        return Digests.attempt(jobId, progress.round, slot.attempt, _draw(jobId, progress).labels);
    }

    /// @dev The draw of the open round's groups; empty with one group, or when nothing armed it yet.
    function _draw(uint32 jobId, Words.Progress memory progress) internal view returns (Draw memory found) {
        if (!progress.grouped) return found;
        Words.unpack(_jobs[jobId].draw, found);
        if (found.round != progress.round) return Draw(0, false, 0, 0);
    }

    /// @dev What a merge of the open or the last merged round is named by.
    function _digestOf(uint32 jobId, uint16 round, uint8 attempt, IModelRegistry.Vector calldata state)
        internal
        view
        returns (bytes32)
    {
        return Digests.merge(jobId, round, attempt, _jobs[jobId].accumulators[round & 1], state);
    }

    /// @dev That it is the turn of `member`, or has been. The last merge is counted.
    function _requireTurn(uint32 jobId, Words.Progress memory progress, Round memory slot, uint48 member)
        internal
        view
    {
        uint256 turn = _turnOf(jobId, progress, slot, member);
        if (block.timestamp < turn) revert NotYourTurn(jobId, progress.round, uint40(turn));
    }

    function _requireVector(IModelRegistry.Vector calldata vector) internal pure {
        if (vector.cid == 0 || vector.root == 0) revert EmptyDigest();
    }

    /// @dev Hospitals whose consent is live, present or not.
    function _live(uint32 jobId, Words.Progress memory progress) internal view returns (uint48) {
        return uint48(consents.live(Words.list(_jobs[jobId].consentIds, progress.enrolled)));
    }

    /// @dev Hospitals that can take part in an attempt of the open round. One that rejected a merge which became final
    /// cannot build on it: it sits the round out, and is back in the next.
    function _able(uint32 jobId, Words.Progress memory progress, Round memory slot) internal view returns (uint48) {
        uint48 outvoted = _isAgreed(progress, slot) ? progress.rejected : 0;
        return progress.present & _live(jobId, progress) & ~outvoted;
    }

    /// @dev An attempt's number is never used twice, so a round has at most 255; then the job waits for its end.
    function _mayOpen(Words.Progress memory progress, uint48 able, uint8 lastAttempt) internal pure returns (bool) {
        return able.count() >= progress.minHospitals && lastAttempt != type(uint8).max;
    }

    function _enrolmentIsOver(uint32 jobId, Words.Progress memory progress) internal view returns (bool) {
        return progress.enrolled == progress.maxHospitals
            || block.timestamp >= uint256(progress.since) + _jobs[jobId].terms.enrol;
    }

    /// @dev The round whose merge the open round builds on.
    function _lastMerged(Words.Progress memory progress) internal pure returns (uint16) {
        unchecked {
            return progress.round - 1;
        }
    }

    /// @dev Whether two thirds attest the last merge.
    function _isAttested(Round memory slot) internal pure returns (bool) {
        return slot.attested.count() >= Bits.twoThirds(slot.previous.count());
    }

    /// @dev Whether `finalRounds` counts the last merge already. It does so from the next merge on, and at the end.
    function _isCounted(Words.Progress memory progress) internal pure returns (bool) {
        unchecked {
            return uint256(progress.finalRounds) + 1 >= progress.round;
        }
    }

    /// @dev Whether the last merge is final for good, whatever time passes.
    function _isAgreed(Words.Progress memory progress, Round memory slot) internal pure returns (bool) {
        return _isCounted(progress) || _isAttested(slot);
    }

    /// @dev Whether the last merge is final: by votes, or because its check passed and nobody rejected it.
    function _isFinal(uint32 jobId, Words.Progress memory progress, Round memory slot) internal view returns (bool) {
        return _isAgreed(progress, slot) || _isSilent(jobId, progress);
    }

    function _isSilent(uint32 jobId, Words.Progress memory progress) internal view returns (bool) {
        return progress.rejected == 0 && _checkIsOver(jobId, progress);
    }

    function _checkIsOver(uint32 jobId, Words.Progress memory progress) internal view returns (bool) {
        return block.timestamp >= uint256(progress.mergedAt) + _jobs[jobId].terms.check;
    }

    /// @dev When `member` may merge.
    function _turnOf(uint32 jobId, Words.Progress memory progress, Round memory slot, uint48 member)
        internal
        view
        returns (uint256 time)
    {
        time = _turnsBegin(jobId, progress, slot);
        // One that lost its bond is not in line.
        uint48 ring = slot.submitted & progress.present;
        uint256 place = Turns.place(ring, member, uint256(progress.round) + slot.voids);
        // The first in line pays for no look at the terms.
        if (place != 0) time += place * _jobs[jobId].terms.merge;
    }

    /// @dev When all updates were in and the last merge was final.
    function _turnsBegin(uint32 jobId, Words.Progress memory progress, Round memory slot)
        internal
        view
        returns (uint256)
    {
        if (_isAgreed(progress, slot)) return slot.since;
        return Math.max(slot.since, uint256(progress.mergedAt) + _jobs[jobId].terms.check);
    }

    function _passes(Tally storage tally, Words.Progress memory progress, Round memory slot)
        internal
        view
        returns (bool)
    {
        uint256 needed = Math.min(progress.minHospitals, slot.participants.count());
        return tally.total != 0 && slot.submitted.count() >= needed
            && uint256(tally.correct) * 10_000 >= uint256(tally.total) * tally.gateBps;
    }

    /// @dev Who did what in rounds 1 to `finalRounds`. What it costs does not depend on who took part in which, so
    /// nobody can make the end of a job too dear for a transaction.
    function _contributions(uint32 jobId, uint256 enrolled, uint16 finalRounds)
        internal
        view
        returns (IRewardPool.Contribution[] memory parts)
    {
        if (finalRounds == 0) return parts;
        uint256[3] memory taken;
        parts = new IRewardPool.Contribution[](enrolled);
        Round memory slot = _round(jobId, 1);
        for (uint16 round = 1; round <= finalRounds; ++round) {
            Bits.addEach(taken, slot.submitted);
            slot = _round(jobId, round + 1);
            ++parts[slot.merger - 1].merges;
        }
        Participant memory place;
        uint32[] memory ids = Words.list(_jobs[jobId].hospitalIds, enrolled);
        for (uint256 i; i < enrolled; ++i) {
            parts[i].hospitalId = ids[i];
            Words.unpack(_placeOf(jobId, ids[i]), place);
            parts[i].units = Bits.countOf(taken, i) * place.trainRecords;
        }
    }

    function _saveDraw(uint32 jobId, Draw memory next) internal {
        _jobs[jobId].draw = Words.pack(next);
    }

    function _save(uint32 jobId, Words.Progress memory progress) internal {
        _jobs[jobId].progress = Words.pack(progress);
    }

    function _saveRound(uint32 jobId, uint16 round, Round memory slot) internal {
        _rounds[Words.roundKey(jobId, round)] = Words.pack(slot);
    }

    function _savePlace(uint32 jobId, uint32 hospitalId, Participant memory place) internal {
        _participants[Words.placeKey(jobId, hospitalId)] = Words.pack(place);
    }
}
