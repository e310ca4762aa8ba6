// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IConsentToken} from "./interfaces/IConsentToken.sol";
import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {ITrainingJobs} from "./interfaces/ITrainingJobs.sol";
import {Bits} from "./libraries/Bits.sol";
import {Digests} from "./libraries/Digests.sol";
import {Turns} from "./libraries/Turns.sol";

/// @title What TrainingJobs remembers, and the questions it asks of it
/// @notice Nothing in this file writes.
///
/// Each round builds on the merge of the round before, called the last merge: its digest is `_mergeDigests` of
/// `progress.round - 1`, its attestations lie in the open round's slot, its rejections in the job's progress. It is final
/// by votes once `finalRounds` counts it; by silence it is final before that is written, see `_isFinal`.
abstract contract JobRecords is ITrainingJobs {
    using Bits for uint48;

    /// @dev What changes while a job runs: one storage slot.
    /// `mergedAt` and `rejected` are of the last merge.
    struct Progress {
        Status status;
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

    /// @dev One storage slot.
    struct Tally {
        uint64 correct;
        uint64 total;
        uint16 gateBps;
    }

    /// @dev `accumulators[round & 1]` belongs to the open round, the other to the last merge, which may yet be void.
    struct Record {
        Progress progress;
        Terms terms;
        IConsentToken.Purpose purpose;
        Tally tally;
        bytes32[2] accumulators;
        bytes32 specDigest;
        bytes32 irbApproval;
        uint32[] hospitalIds;
        uint32[] consentIds;
    }

    IHospitalRegistry public immutable hospitals;
    IDatasetRegistry public immutable datasets;
    IConsentToken public immutable consents;
    IModelRegistry public immutable models;
    IRewardPool public immutable rewards;

    /// @inheritdoc ITrainingJobs
    uint32 public jobCount;
    mapping(uint32 jobId => Record) internal _jobs;
    mapping(uint32 jobId => mapping(uint16 round => Round)) internal _rounds;
    mapping(uint32 jobId => mapping(uint16 round => bytes32)) internal _mergeDigests;
    mapping(uint32 jobId => mapping(uint32 hospitalId => Participant)) internal _participants;

    constructor(
        IHospitalRegistry hospitalRegistry,
        IDatasetRegistry datasetRegistry,
        IConsentToken consentToken,
        IModelRegistry modelRegistry,
        IRewardPool rewardPool
    ) {
        hospitals = hospitalRegistry;
        datasets = datasetRegistry;
        consents = consentToken;
        models = modelRegistry;
        rewards = rewardPool;
    }

    /// @inheritdoc ITrainingJobs
    function job(uint32 jobId) external view returns (Job memory result) {
        Progress memory progress = _load(jobId);
        Record storage record = _jobs[jobId];
        Terms memory terms = record.terms;
        result.status = progress.status;
        result.round = progress.round;
        result.finalRounds = progress.finalRounds;
        result.enrolled = progress.enrolled;
        result.present = progress.present;
        result.since = progress.since;
        result.rounds = progress.rounds;
        result.minHospitals = progress.minHospitals;
        result.maxHospitals = progress.maxHospitals;
        result.gateBps = record.tally.gateBps;
        result.modelId = terms.modelId;
        result.baseVersion = terms.baseVersion;
        result.phases = Phases(terms.enrol, terms.submit, terms.merge, terms.check, terms.report, terms.pause);
        result.purpose = record.purpose;
        result.specDigest = record.specDigest;
        result.irbApproval = record.irbApproval;
        result.accumulator = record.accumulators[(progress.round > progress.rounds ? progress.rounds : progress.round) & 1];
    }

    /// @inheritdoc ITrainingJobs
    function roundOf(uint32 jobId, uint16 round) external view returns (Round memory) {
        return _round(jobId, round);
    }

    /// @inheritdoc ITrainingJobs
    function mergeDigest(uint32 jobId, uint16 round) external view returns (bytes32) {
        return _mergeDigests[jobId][round];
    }

    /// @inheritdoc ITrainingJobs
    function participant(uint32 jobId, uint32 hospitalId) external view returns (Participant memory) {
        return _participants[jobId][hospitalId];
    }

    /// @inheritdoc ITrainingJobs
    function hospitalsOf(uint32 jobId) external view returns (uint32[] memory) {
        return _jobs[jobId].hospitalIds;
    }

    /// @inheritdoc ITrainingJobs
    function mergersInLine(uint32 jobId) external view returns (uint48 line) {
        Progress memory progress = _jobs[jobId].progress;
        Round memory slot = _round(jobId, progress.round);
        if (progress.status != Status.Running || slot.submitted != slot.participants) return 0;
        if (!_isFinal(jobId, progress)) return 0;
        for (uint48 left = slot.submitted; left != 0; left &= left - 1) {
            uint48 member = left & (~left + 1);
            if (block.timestamp >= _turnOf(jobId, progress, slot, member)) line |= member;
        }
    }

    function _load(uint32 jobId) internal view returns (Progress memory progress) {
        progress = _jobs[jobId].progress;
        if (progress.status == Status.None) revert UnknownJob(jobId);
    }

    function _round(uint32 jobId, uint16 round) internal view returns (Round memory) {
        return _rounds[jobId][round];
    }

    function _place(uint32 jobId, uint32 hospitalId) internal view returns (Participant memory place) {
        place = _participants[jobId][hospitalId];
        if (!place.exists) revert NotEnrolled(jobId, hospitalId);
    }

    /// @dev The open attempt and the place of one of its participants.
    function _requireOpen(uint32 jobId, Progress memory progress, uint16 round, uint8 attempt, uint32 hospitalId)
        internal
        view
        returns (Round memory slot, Participant memory place)
    {
        if (progress.status != Status.Running) revert WrongJobStatus(jobId, progress.status);
        slot = _round(jobId, round);
        if (round != progress.round || attempt != slot.attempt) revert NotOpen(jobId, round, attempt);
        place = _place(jobId, hospitalId);
        if (slot.participants & Bits.only(place.index) == 0) revert NotParticipant(jobId, round, hospitalId);
    }

    /// @dev The slot that holds the votes on the last merge, and the bit of one who may still vote.
    function _requireJudge(uint32 jobId, Progress memory progress, uint16 round, bytes32 digest, uint32 hospitalId)
        internal
        view
        returns (Round memory slot, uint48 member)
    {
        if (progress.status < Status.Running || progress.status > Status.Reporting) {
            revert WrongJobStatus(jobId, progress.status);
        }
        if (round == 0 || round != progress.round - 1) revert NotOpen(jobId, round, _rounds[jobId][round].attempt);
        member = Bits.only(_place(jobId, hospitalId).index);
        slot = _round(jobId, progress.round);
        if (slot.previous & member == 0) revert NotParticipant(jobId, round, hospitalId);
        bytes32 standing = _mergeDigests[jobId][round];
        if (digest != standing) revert WrongMerge(jobId, round, standing);
        if ((slot.attested | progress.rejected) & member != 0) revert AlreadyDone(jobId, round, hospitalId);
    }

    /// @dev The last round's preimage was never stored whole: whoever finishes names the state again.
    function _requireLastState(uint32 jobId, uint16 round, IModelRegistry.Vector calldata state) internal view {
        bytes32 standing = _mergeDigests[jobId][round];
        if (_digestOf(jobId, round, _rounds[jobId][round].attempt, state) != standing) revert WrongMerge(jobId, round, standing);
    }

    /// @dev What a merge of the open or the last merged round is named by.
    function _digestOf(uint32 jobId, uint16 round, uint8 attempt, IModelRegistry.Vector calldata state)
        internal
        view
        returns (bytes32)
    {
        return Digests.merge(jobId, round, attempt, _jobs[jobId].accumulators[round & 1], state);
    }

    /// @dev That the open round can be merged now, by the hospital at `index`.
    function _requireInLine(uint32 jobId, Progress memory progress, Round memory slot, uint8 index) internal view {
        uint16 round = progress.round;
        uint48 missing = slot.participants & ~slot.submitted;
        if (missing != 0) revert UpdatesMissing(jobId, round, missing);
        if (!_isFinal(jobId, progress)) revert NotFinal(jobId, round - 1);
        uint256 turn = _turnOf(jobId, progress, slot, Bits.only(index));
        if (block.timestamp < turn) revert NotYourTurn(jobId, round, uint40(turn));
    }

    function _requireVector(IModelRegistry.Vector calldata vector) internal pure {
        if (vector.cid == 0 || vector.root == 0) revert EmptyDigest();
    }

    /// @dev Hospitals whose consent is live, present or not.
    function _live(uint32 jobId) internal view returns (uint48) {
        return uint48(consents.live(_jobs[jobId].consentIds));
    }

    /// @dev Hospitals that can take part in an attempt of the open round. One that rejected a merge which became final
    /// cannot build on it: it sits the round out, and is back in the next.
    function _able(Progress memory progress, uint48 live) internal pure returns (uint48) {
        uint48 outvoted = _isRecordedFinal(progress) ? progress.rejected : 0;
        return progress.present & live & ~outvoted;
    }

    /// @dev An attempt's number is never used twice, so a round has at most 255; then the job waits for its end.
    function _mayOpen(Progress memory progress, uint48 able, uint8 lastAttempt) internal pure returns (bool) {
        return able.count() >= progress.minHospitals && lastAttempt != type(uint8).max;
    }

    function _enrolmentIsOver(uint32 jobId, Progress memory progress) internal view returns (bool) {
        return progress.enrolled == progress.maxHospitals
            || block.timestamp >= uint256(progress.since) + _jobs[jobId].terms.enrol;
    }

    function _isRecordedFinal(Progress memory progress) internal pure returns (bool) {
        return progress.finalRounds + 1 >= progress.round;
    }

    /// @dev Whether the last merge is final: by votes, or because its check passed and nobody rejected it.
    function _isFinal(uint32 jobId, Progress memory progress) internal view returns (bool) {
        return _isRecordedFinal(progress) || (progress.rejected == 0 && _checkIsOver(jobId, progress));
    }

    function _checkIsOver(uint32 jobId, Progress memory progress) internal view returns (bool) {
        return block.timestamp >= uint256(progress.mergedAt) + _jobs[jobId].terms.check;
    }

    /// @dev When `member` may merge. The first turn begins when all updates are in and the last merge is final.
    function _turnOf(uint32 jobId, Progress memory progress, Round memory slot, uint48 member)
        internal
        view
        returns (uint256)
    {
        return Turns.opensAt(
            slot.submitted,
            member,
            _turnsBegin(jobId, progress, slot),
            uint256(progress.round) + slot.voids,
            _jobs[jobId].terms.merge
        );
    }

    function _turnsBegin(uint32 jobId, Progress memory progress, Round memory slot)
        internal
        view
        returns (uint256)
    {
        if (_isRecordedFinal(progress)) return slot.since;
        return Math.max(slot.since, uint256(progress.mergedAt) + _jobs[jobId].terms.check);
    }
}
