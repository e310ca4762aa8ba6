// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {JobRecords} from "./JobRecords.sol";
import {IConsentToken} from "./interfaces/IConsentToken.sol";
import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {ITrainingJobs} from "./interfaces/ITrainingJobs.sol";
import {Bits} from "./libraries/Bits.sol";
import {Digests} from "./libraries/Digests.sol";
import {Proposals} from "./libraries/Proposals.sol";

/// @title TrainingJobs
/// @notice See `ITrainingJobs`. No owner: nobody can change a job but by its rules.
contract TrainingJobs is JobRecords {
    using Bits for uint48;

    constructor(
        IHospitalRegistry hospitalRegistry,
        IDatasetRegistry datasetRegistry,
        IConsentToken consentToken,
        IModelRegistry modelRegistry,
        IRewardPool rewardPool
    ) JobRecords(hospitalRegistry, datasetRegistry, consentToken, modelRegistry, rewardPool) {}

    /// @inheritdoc ITrainingJobs
    function propose(Proposal calldata proposal) external returns (uint32 jobId) {
        Proposals.requireConsistent(proposal);
        models.requireBase(proposal.modelId, proposal.baseVersion);

        jobId = ++jobCount;
        Record storage record = _jobs[jobId];
        Progress memory progress;
        progress.status = Status.Enrolling;
        progress.since = uint40(block.timestamp);
        progress.rounds = proposal.rounds;
        progress.minHospitals = proposal.minHospitals;
        progress.maxHospitals = proposal.maxHospitals;
        _save(jobId, progress);
        record.terms = Terms({
            enrol: proposal.phases.enrol,
            submit: proposal.phases.submit,
            merge: proposal.phases.merge,
            check: proposal.phases.check,
            report: proposal.phases.report,
            pause: proposal.phases.pause,
            modelId: proposal.modelId,
            baseVersion: proposal.baseVersion
        });
        record.purpose = proposal.purpose;
        record.tally.gateBps = proposal.gateBps;
        record.specDigest = proposal.specDigest;
        record.irbApproval = proposal.irbApproval;
        emit JobProposed(jobId, msg.sender, proposal);

        rewards.escrow(jobId, msg.sender, proposal.rewardToken, proposal.rewardAmount, proposal.split);
    }

    /// @inheritdoc ITrainingJobs
    function enrol(uint32 jobId, uint32 consentId, uint32 datasetVersion) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        if (progress.status != Status.Enrolling) revert WrongJobStatus(jobId, progress.status);
        if (_enrolmentIsOver(jobId, progress)) revert EnrolmentClosed(jobId);
        if (_participants[jobId][hospitalId].exists) revert AlreadyEnrolled(jobId, hospitalId);
        // No need to verify whose dataset it is: a consent exists only for a dataset of its own hospital.
        consents.check(consentId, hospitalId, _jobs[jobId].purpose);
        uint32 datasetId = consents.consent(consentId).terms.datasetId;
        IDatasetRegistry.StoredVersion memory version = datasets.version(datasetId, datasetVersion);

        Participant memory place = Participant({
            exists: true,
            index: progress.enrolled,
            consentId: consentId,
            datasetId: datasetId,
            datasetVersion: datasetVersion,
            trainRecords: version.trainRecords,
            heldOutRecords: version.heldOutRecords
        });
        _participants[jobId][hospitalId] = place;
        _jobs[jobId].hospitalIds.push(hospitalId);
        _jobs[jobId].consentIds.push(consentId);
        progress.present |= Bits.only(progress.enrolled);
        ++progress.enrolled;
        _save(jobId, progress);
        emit Enrolled(jobId, hospitalId, place);
    }

    /// @inheritdoc ITrainingJobs
    function open(uint32 jobId) external {
        Progress memory progress = _load(jobId);
        uint48 live = _live(jobId);
        if (progress.status == Status.Enrolling) {
            if (!_enrolmentIsOver(jobId, progress) || live.count() < progress.minHospitals) {
                revert NothingToOpen(jobId);
            }
            progress.round = 1;
            _openAttempt(jobId, progress, live, 0, 0);
        } else if (progress.status == Status.Paused) {
            Round memory slot = _round(jobId, progress.round);
            uint48 able = _able(progress, live);
            if (!_mayOpen(progress, able, slot.attempt)) revert NothingToOpen(jobId);
            _openAttempt(jobId, progress, able, slot.previous, slot.attested);
        } else if (progress.status == Status.Running) {
            Round memory slot = _round(jobId, progress.round);
            uint48 missing = slot.participants & ~slot.submitted;
            uint48 able = _able(progress, live);
            bool late = block.timestamp >= uint256(slot.since) + _jobs[jobId].terms.submit;
            if (missing == 0 || (!late && missing & ~able == 0)) revert NothingToOpen(jobId);
            if (late) progress.present &= ~missing;
            able &= late ? slot.submitted : slot.participants;
            _openAttempt(jobId, progress, able, slot.previous, slot.attested);
        } else {
            revert WrongJobStatus(jobId, progress.status);
        }
        _save(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function submit(uint32 jobId, Submission calldata submission) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        (Round memory slot, Participant memory place) =
            _requireOpen(jobId, progress, submission.round, submission.attempt, hospitalId);
        uint48 member = Bits.only(place.index);
        if (slot.submitted & member != 0) revert AlreadyDone(jobId, submission.round, hospitalId);
        _requireVector(submission.update);

        _attestByDoing(jobId, progress, slot, member, hospitalId, submission.attests);
        slot.submitted |= member;
        if (slot.submitted == slot.participants) slot.since = uint40(block.timestamp);
        _saveRound(jobId, submission.round, slot);
        uint256 parity = submission.round & 1;
        _jobs[jobId].accumulators[parity] = Digests.update(_jobs[jobId].accumulators[parity], hospitalId, submission.update);
        emit UpdateSubmitted(
            jobId, submission.round, hospitalId, slot.attempt, submission.update, submission.epsilonTotalMicro
        );

        consents.use(place.consentId, hospitalId, _jobs[jobId].purpose, submission.epsilonTotalMicro);
    }

    /// @inheritdoc ITrainingJobs
    function merge(uint32 jobId, uint16 round, uint8 attempt, IModelRegistry.Vector calldata state) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        (Round memory slot, Participant memory place) = _requireOpen(jobId, progress, round, attempt, hospitalId);
        _requireInLine(jobId, progress, slot, place.index);
        _requireVector(state);

        _recordFinal(jobId, progress);
        bytes32 digest = _digestOf(jobId, round, attempt, state);
        _mergeDigests[jobId][round] = digest;
        _rounds[jobId][round].merger = place.index + 1;
        emit Merged(jobId, round, hospitalId, attempt, state, digest);
        _buildOn(jobId, progress, slot.submitted, Bits.only(place.index));
        _save(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function attest(uint32 jobId, uint16 round, bytes32 digest) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        (Round memory slot, uint48 member) = _requireJudge(jobId, progress, round, digest, hospitalId);

        bool becameFinal = _attest(jobId, progress, slot, member, hospitalId, digest);
        // Where all updates waited for this, nobody could merge yet: the turns begin now.
        if (becameFinal && progress.status == Status.Running && slot.submitted == slot.participants) {
            slot.since = uint40(block.timestamp);
        }
        _saveRound(jobId, round + 1, slot);
    }

    /// @inheritdoc ITrainingJobs
    function reject(uint32 jobId, uint16 round, bytes32 digest) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        (Round memory slot, uint48 member) = _requireJudge(jobId, progress, round, digest, hospitalId);
        if (_isFinal(jobId, progress)) revert NotOpen(jobId, round, _rounds[jobId][round].attempt);

        progress.rejected |= member;
        emit Rejected(jobId, round, hospitalId, digest);
        // The merger has no voice in this: two thirds of the others.
        if (progress.rejected.count() >= Bits.twoThirds(slot.previous.count() - 1)) {
            _void(jobId, progress, slot.attempt, digest);
        }
        _save(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function report(uint32 jobId, bytes32 attests, uint32 correct, uint32 total, bytes32 metricsDigest) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        if (progress.status != Status.Reporting) revert WrongJobStatus(jobId, progress.status);
        Participant memory place = _place(jobId, hospitalId);
        uint48 member = Bits.only(place.index);
        Round memory slot = _round(jobId, progress.round);
        if (slot.participants & member == 0) revert NotParticipant(jobId, progress.round, hospitalId);
        if (slot.submitted & member != 0) revert AlreadyDone(jobId, progress.round, hospitalId);
        if (total != place.heldOutRecords || correct > total) revert WrongTotal(jobId, place.heldOutRecords);
        if (metricsDigest == 0) revert EmptyDigest();

        _attestByDoing(jobId, progress, slot, member, hospitalId, attests);
        slot.submitted |= member;
        _saveRound(jobId, progress.round, slot);
        _jobs[jobId].tally.correct += correct;
        _jobs[jobId].tally.total += total;
        emit Reported(jobId, hospitalId, correct, total, metricsDigest);
    }

    /// @inheritdoc ITrainingJobs
    function rejoin(uint32 jobId) external {
        uint32 hospitalId = hospitals.requireOperator(msg.sender);
        Progress memory progress = _load(jobId);
        if (progress.status != Status.Running && progress.status != Status.Paused) {
            revert WrongJobStatus(jobId, progress.status);
        }
        uint48 member = Bits.only(_place(jobId, hospitalId).index);
        if (progress.present & member != 0) revert AlreadyDone(jobId, progress.round, hospitalId);

        progress.present |= member;
        _save(jobId, progress);
        emit Rejoined(jobId, hospitalId);
    }

    /// @inheritdoc ITrainingJobs
    function finish(uint32 jobId, IModelRegistry.Vector calldata state) external returns (uint32 version) {
        Progress memory progress = _load(jobId);
        if (progress.status != Status.Reporting) revert WrongJobStatus(jobId, progress.status);
        _requireLastState(jobId, progress.rounds, state);
        if (!_isFinal(jobId, progress)) revert NotFinal(jobId, progress.rounds);
        Round memory slot = _round(jobId, progress.round);
        if (
            slot.submitted != slot.participants
                && block.timestamp < uint256(progress.since) + _jobs[jobId].terms.report
        ) revert ReportsMissing(jobId, slot.participants & ~slot.submitted);

        _recordFinal(jobId, progress);
        progress.status = Status.Finished;
        progress.since = uint40(block.timestamp);
        _save(jobId, progress);
        Tally memory tally = _jobs[jobId].tally;
        bool passed = _passes(tally, progress, slot);

        if (passed) version = models.addCandidate(_jobs[jobId].terms.modelId, _jobs[jobId].terms.baseVersion, jobId, state);
        emit JobFinished(jobId, passed, tally.correct, tally.total, version);
        _settle(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function cancel(uint32 jobId) external {
        Progress memory progress = _load(jobId);
        if (progress.status > Status.Reporting) revert WrongJobStatus(jobId, progress.status);
        bool own = msg.sender == _jobs[jobId].purpose.researcher && progress.status != Status.Reporting;
        if (!own && !_isStuck(jobId, progress)) revert NotYoursToCancel(jobId);

        if (_isFinal(jobId, progress)) _recordFinal(jobId, progress);
        progress.status = Status.Cancelled;
        progress.since = uint40(block.timestamp);
        _save(jobId, progress);
        emit JobCancelled(jobId, msg.sender, progress.finalRounds);

        _settle(jobId, progress);
    }

    /// @dev Goes on from the merge just posted, by `merger` for `previous`: the next round, or the reports. The caller
    /// writes `progress`.
    function _buildOn(uint32 jobId, Progress memory progress, uint48 previous, uint48 merger) private {
        ++progress.round;
        progress.mergedAt = uint40(block.timestamp);
        progress.rejected = 0;
        if (previous == merger) _recordFinal(jobId, progress);
        uint48 able = progress.present & _live(jobId);
        if (progress.round <= progress.rounds) {
            _openAttempt(jobId, progress, able, previous, merger);
        } else {
            _openReporting(jobId, progress, able == 0 ? progress.present : able, previous, merger);
        }
    }

    /// @dev Opens the next attempt of `progress.round` for `able`, or pauses when they are too few. The caller writes
    /// `progress`.
    function _openAttempt(
        uint32 jobId,
        Progress memory progress,
        uint48 able,
        uint48 previous,
        uint48 attested
    ) private {
        uint16 round = progress.round;
        uint8 attempt = _rounds[jobId][round].attempt;
        if (_mayOpen(progress, able, attempt)) {
            ++attempt;
            _enter(progress, Status.Running);
            _jobs[jobId].accumulators[round & 1] = Digests.attempt(jobId, round, attempt);
            emit AttemptOpened(jobId, round, attempt, able);
        } else {
            _enter(progress, Status.Paused);
            emit JobPaused(jobId, round, able);
            able = 0;
        }
        _saveRound(jobId, round, Round(able, 0, previous, attested, 0, attempt, 0, uint40(block.timestamp)));
    }

    /// @dev Asks for reports on the last round's merge. The caller writes `progress`.
    function _openReporting(uint32 jobId, Progress memory progress, uint48 asked, uint48 previous, uint48 attested)
        private
    {
        uint16 round = progress.round;
        uint8 attempt = _rounds[jobId][round].attempt;
        if (attempt != type(uint8).max) ++attempt;
        _enter(progress, Status.Reporting);
        _saveRound(jobId, round, Round(asked, 0, previous, attested, 0, attempt, 0, uint40(block.timestamp)));
        emit ReportingOpened(jobId, asked);
    }

    /// @dev Takes the last merge back, and whatever was built on it. The caller writes `progress`.
    function _void(uint32 jobId, Progress memory progress, uint8 attempt, bytes32 digest)
        private
    {
        _saveRound(jobId, progress.round, Round(0, 0, 0, 0, 0, attempt, 0, 0));
        if (progress.status == Status.Reporting) {
            _jobs[jobId].tally.correct = 0;
            _jobs[jobId].tally.total = 0;
        }
        uint16 round = --progress.round;
        delete _mergeDigests[jobId][round];
        Round memory slot = _round(jobId, round);
        slot.merger = 0;
        ++slot.voids;
        slot.since = uint40(block.timestamp);
        _saveRound(jobId, round, slot);
        progress.rejected = 0;
        _enter(progress, Status.Running);
        emit MergeVoided(jobId, round, digest);
    }

    /// @dev Attests the last merge for a hospital whose update or report builds on it.
    function _attestByDoing(
        uint32 jobId,
        Progress memory progress,
        Round memory slot,
        uint48 member,
        uint32 hospitalId,
        bytes32 attests
    ) private {
        uint16 round = progress.round - 1;
        bytes32 standing = _mergeDigests[jobId][round];
        if (attests != standing) revert WrongMerge(jobId, round, standing);
        if (progress.rejected & member != 0) revert AlreadyDone(jobId, round, hospitalId);
        if (slot.previous & ~slot.attested & member == 0) return;
        _attest(jobId, progress, slot, member, hospitalId, standing);
    }

    /// @dev Counts an attestation. The caller writes `slot`.
    function _attest(
        uint32 jobId,
        Progress memory progress,
        Round memory slot,
        uint48 member,
        uint32 hospitalId,
        bytes32 digest
    ) private returns (bool becameFinal) {
        slot.attested |= member;
        emit Attested(jobId, progress.round - 1, hospitalId, digest);
        becameFinal = !_isRecordedFinal(progress)
            && slot.attested.count() >= Bits.twoThirds(slot.previous.count());
        if (becameFinal) {
            _recordFinal(jobId, progress);
            _save(jobId, progress);
        }
    }

    /// @dev Counts the last merge as final, once. The caller writes `progress`.
    function _recordFinal(uint32 jobId, Progress memory progress) private {
        if (_isRecordedFinal(progress)) return;
        emit RoundFinal(jobId, ++progress.finalRounds);
    }

    function _save(uint32 jobId, Progress memory progress) private {
        _jobs[jobId].progress = progress;
    }

    function _saveRound(uint32 jobId, uint16 round, Round memory slot) private {
        _rounds[jobId][round] = slot;
    }

    function _enter(Progress memory progress, Status status) private view {
        if (progress.status == status) return;
        progress.status = status;
        progress.since = uint40(block.timestamp);
    }

    /// @dev Credits everyone's share of the rounds that are final.
    function _settle(uint32 jobId, Progress memory progress) private {
        rewards.settle(
            jobId, progress.finalRounds, progress.rounds, _contributions(jobId, progress.finalRounds)
        );
    }

    function _passes(Tally memory tally, Progress memory progress, Round memory slot) private pure returns (bool) {
        uint256 needed = Math.min(progress.minHospitals, slot.participants.count());
        return tally.total != 0 && slot.submitted.count() >= needed
            && uint256(tally.correct) * 10_000 >= uint256(tally.total) * tally.gateBps;
    }

    /// @dev Whether nothing but an end is left.
    function _isStuck(uint32 jobId, Progress memory progress) private view returns (bool) {
        if (progress.status == Status.Enrolling) {
            return _enrolmentIsOver(jobId, progress) && _live(jobId).count() < progress.minHospitals;
        }
        if (!_isFinal(jobId, progress)) return _checkIsOver(jobId, progress);
        Round memory slot = _round(jobId, progress.round);
        if (progress.status == Status.Paused) {
            return block.timestamp >= uint256(progress.since) + _jobs[jobId].terms.pause
                && !_mayOpen(progress, _able(progress, _live(jobId)), slot.attempt);
        }
        if (progress.status != Status.Running || slot.submitted != slot.participants) return false;
        uint256 turns = slot.submitted.count() * _jobs[jobId].terms.merge;
        return block.timestamp >= _turnsBegin(jobId, progress, slot) + turns;
    }

    /// @dev Who did what in rounds 1 to `finalRounds`. Rounds of the same hospitals in a row are counted together.
    function _contributions(uint32 jobId, uint16 finalRounds)
        private
        view
        returns (IRewardPool.Contribution[] memory parts)
    {
        if (finalRounds == 0) return parts;
        uint256 size = _jobs[jobId].hospitalIds.length;
        uint64[] memory taken = new uint64[](size);
        parts = new IRewardPool.Contribution[](size);
        uint48 members;
        uint64 run;
        for (uint16 round = 1; round <= finalRounds; ++round) {
            Round memory slot = _round(jobId, round);
            ++parts[slot.merger - 1].merges;
            if (slot.submitted != members) {
                _addRun(taken, members, run);
                members = slot.submitted;
                run = 0;
            }
            ++run;
        }
        _addRun(taken, members, run);
        for (uint256 i; i < size; ++i) {
            uint32 hospitalId = _jobs[jobId].hospitalIds[i];
            parts[i].hospitalId = hospitalId;
            parts[i].units = taken[i] * _participants[jobId][hospitalId].trainRecords;
        }
    }

    function _addRun(uint64[] memory taken, uint48 members, uint64 run) private pure {
        for (uint256 i; members != 0; ++i) {
            if (members & 1 != 0) taken[i] += run;
            members >>= 1;
        }
    }
}
