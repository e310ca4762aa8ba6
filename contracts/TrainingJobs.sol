// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {JobRecords} from "./JobRecords.sol";
import {IBonds} from "./interfaces/IBonds.sol";
import {IConsentToken} from "./interfaces/IConsentToken.sol";
import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {ITrainingJobs} from "./interfaces/ITrainingJobs.sol";
import {Bits} from "./libraries/Bits.sol";
import {Digests} from "./libraries/Digests.sol";
import {Groups} from "./libraries/Groups.sol";
import {MaskKeys} from "./libraries/MaskKeys.sol";
import {Proposals} from "./libraries/Proposals.sol";
import {Words} from "./libraries/Words.sol";

/// @title TrainingJobs
/// @notice See `ITrainingJobs`. No owner: nobody can change a job but by its rules.
contract TrainingJobs is JobRecords {
    using Bits for uint48;

    constructor(
        IHospitalRegistry hospitalRegistry,
        IDatasetRegistry datasetRegistry,
        IConsentToken consentToken,
        IModelRegistry modelRegistry,
        IRewardPool rewardPool,
        IBonds bonds_,
        address challenges_
    ) JobRecords(hospitalRegistry, datasetRegistry, consentToken, modelRegistry, rewardPool, bonds_, challenges_) {}

    /// @inheritdoc ITrainingJobs
    function propose(Proposal calldata proposal) external returns (uint32 jobId) {
        Proposals.requireConsistent(proposal);
        models.requireBase(proposal.modelId, proposal.baseVersion);

        jobId = ++jobCount;
        Record storage record = _jobs[jobId];
        Words.Progress memory progress;
        progress.status = uint8(Status.Enrolling);
        progress.grouped = proposal.merge.groups > 1;
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
        record.tally = Tally({
            correct: 0,
            total: 0,
            gateBps: proposal.gateBps,
            lanes: proposal.merge.lanes,
            serverStep: proposal.merge.serverStep,
            rule: proposal.merge.rule,
            groups: proposal.merge.groups,
            masked: proposal.merge.masked
        });
        record.specDigest = proposal.specDigest;
        // Any value will do: the researcher pays for new storage here, so that no hospital's update has to.
        record.accumulators[0] = proposal.specDigest;
        record.accumulators[1] = proposal.specDigest;
        record.irbApproval = proposal.irbApproval;
        emit JobProposed(jobId, msg.sender, proposal);

        rewards.escrow(jobId, msg.sender, proposal.rewardToken, proposal.rewardAmount, proposal.split);
    }

    /// @inheritdoc ITrainingJobs
    function enrol(uint32 jobId, uint32 consentId, uint32 datasetVersion, bytes32 maskKey) external {
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Enrolling, Status.Enrolling);
        if (_enrolmentIsOver(jobId, progress)) revert EnrolmentClosed(jobId);
        if (_isEnrolled(jobId, hospitalId)) revert AlreadyEnrolled(jobId, hospitalId);
        if (_jobs[jobId].tally.masked ? MaskKeys.isWeak(maskKey) : maskKey != 0) revert BadMaskKey(maskKey);
        // No need to verify whose dataset it is: a consent exists only for a dataset of its own hospital.
        uint32 datasetId = consents.check(consentId, hospitalId, _jobs[jobId].purpose);
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
        _savePlace(jobId, hospitalId, place);
        Words.put(_jobs[jobId].hospitalIds, progress.enrolled, hospitalId);
        Words.put(_jobs[jobId].consentIds, progress.enrolled, consentId);
        progress.present |= Bits.only(progress.enrolled);
        ++progress.enrolled;
        _save(jobId, progress);
        emit Enrolled(jobId, hospitalId, place, maskKey);

        _lock(jobId, hospitalId);
    }

    /// @inheritdoc ITrainingJobs
    function open(uint32 jobId) external {
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Enrolling, Status.Paused);
        Round memory slot = _round(jobId, progress.round);
        uint48 able = _able(jobId, progress, slot);
        uint48 withheld;
        bool ready;
        if (_is(progress, Status.Running)) {
            uint48 missing = slot.participants & ~slot.submitted;
            bool late = block.timestamp >= uint256(slot.since) + _jobs[jobId].terms.submit;
            ready = missing != 0 && (late || missing & ~able != 0);
            if (late) {
                progress.present &= ~missing;
                // Once groups are drawn, withholding could pick one that suits: it costs the bond. Not of those whom a
                // dead consent or a merge that they rejected keeps from sending.
                if (_draw(jobId, progress).drawn) withheld = missing & able & ~progress.rejected;
            }
            able &= late ? slot.submitted : slot.participants;
        } else {
            ready = _mayOpen(progress, able, slot.attempt);
            if (_is(progress, Status.Enrolling)) {
                ready = ready && _enrolmentIsOver(jobId, progress);
                progress.round = 1;
            }
        }
        if (!ready) revert NothingToOpen(jobId);

        _openAttempt(jobId, progress, slot, able);
        _save(jobId, progress);

        if (withheld != 0) _slashEach(jobId, progress, withheld);
    }

    /// @inheritdoc ITrainingJobs
    function draw(uint32 jobId) external {
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Running, Status.Running);
        Draw memory next = _draw(jobId, progress);
        if (next.blockNumber == 0 || next.drawn || block.number <= next.blockNumber) {
            revert NothingToDraw(jobId, next.blockNumber);
        }

        bytes32 seed = blockhash(next.blockNumber);
        if (seed == 0) {
            // The chain has forgotten that block: another one that nobody knows yet.
            next.blockNumber = uint40(block.number) + 1;
        } else {
            Round memory slot = _round(jobId, progress.round);
            next.drawn = true;
            next.labels = Groups.draw(seed, slot.participants, _jobs[jobId].tally.groups);
            // Nobody could submit until now, and who is late loses a bond: the time to submit begins here.
            slot.since = uint40(block.timestamp);
            _saveRound(jobId, progress.round, slot);
            emit GroupsDrawn(jobId, progress.round, seed, next.labels);
        }
        _saveDraw(jobId, next);
    }

    /// @inheritdoc ITrainingJobs
    function doubt(uint32 jobId, uint16 round, uint8 attempt, uint32 hospitalId) external {
        uint32 by = _operator();
        Words.Progress memory progress = _load(jobId);
        Round memory slot = _round(jobId, round);
        _requireOpen(jobId, progress, slot, round, attempt);
        uint48 voter = _memberOf(jobId, by);
        _requireMember(slot.participants, voter, jobId, round, by);
        uint8 index = Words.index(_placeOf(jobId, hospitalId));
        _requireMember(slot.submitted & ~voter, Bits.only(index), jobId, round, hospitalId);
        uint256 key = Words.doubtKey(jobId, round, attempt, index);
        uint48 voters = _doubts[key];
        _requireFirst(voters, voter, jobId, round, by);

        voters |= voter;
        _doubts[key] = voters;
        emit Doubted(jobId, round, hospitalId, attempt, by);
        if (voters.count() < Bits.twoThirds(slot.participants.count() - 1)) return;

        progress.present &= ~Bits.only(index);
        emit Dropped(jobId, round, hospitalId, attempt);
        _openAttempt(jobId, progress, slot, slot.participants & _able(jobId, progress, slot));
        _save(jobId, progress);
        _slash(jobId, hospitalId, 0);
    }

    /// @inheritdoc ITrainingJobs
    function submit(uint32 jobId, Submission calldata submission) external {
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        Round memory slot = _round(jobId, submission.round);
        _requireOpen(jobId, progress, slot, submission.round, submission.attempt);
        uint256 place = _placeOf(jobId, hospitalId);
        uint48 member = Bits.only(Words.index(place));
        _requireMember(slot.participants, member, jobId, submission.round, hospitalId);
        if (progress.grouped && !_draw(jobId, progress).drawn) revert NotDrawn(jobId, submission.round);
        _requireFirst(slot.submitted, member, jobId, submission.round, hospitalId);
        _requireVector(submission.update);

        _attestByDoing(jobId, progress, slot, member, hospitalId, submission.attests);
        _jobs[jobId].accumulators[submission.round & 1] =
            Digests.update(_accumulator(jobId, progress, slot), Words.index(place), submission.update);
        slot.submitted |= member;
        if (slot.submitted == slot.participants) slot.since = uint40(block.timestamp);
        _saveRound(jobId, submission.round, slot);
        emit UpdateSubmitted(
            jobId, submission.round, hospitalId, slot.attempt, submission.update, submission.epsilonTotalMicro
        );

        consents.use(Words.consentId(place), hospitalId, _jobs[jobId].purpose, submission.epsilonTotalMicro);
    }

    /// @inheritdoc ITrainingJobs
    function merge(uint32 jobId, uint16 round, uint8 attempt, IModelRegistry.Vector calldata state) external {
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        Round memory slot = _round(jobId, round);
        _requireOpen(jobId, progress, slot, round, attempt);
        uint8 index = Words.index(_placeOf(jobId, hospitalId));
        // One that lost its bond cannot merge until it is back with another.
        _requireMember(slot.participants & progress.present, Bits.only(index), jobId, round, hospitalId);
        if (slot.submitted != slot.participants) {
            revert UpdatesMissing(jobId, round, slot.participants & ~slot.submitted);
        }
        if (!_countFinal(jobId, progress, slot)) revert NotFinal(jobId, round - 1);
        _requireTurn(jobId, progress, slot, Bits.only(index));
        _requireVector(state);

        bytes32 digest = _digestOf(jobId, round, attempt, state);
        _mergeDigests[Words.roundKey(jobId, round)] = digest;
        emit Merged(jobId, round, hospitalId, attempt, state, digest);
        _buildOn(jobId, progress, slot.submitted, index);
        _save(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function attest(uint32 jobId, uint16 round, bytes32 digest) external {
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        _requireLastMerge(jobId, progress, round);
        uint48 member = _memberOf(jobId, hospitalId);
        Round memory slot = _round(jobId, progress.round);
        _requireJudge(jobId, progress, slot, member, hospitalId, digest);

        bool becameFinal = _attest(jobId, progress, slot, member, hospitalId, digest);
        // Where all updates waited for this, nobody could merge yet: the turns begin now.
        if (becameFinal && _is(progress, Status.Running) && slot.submitted == slot.participants) {
            slot.since = uint40(block.timestamp);
        }
        _saveRound(jobId, progress.round, slot);
    }

    /// @inheritdoc ITrainingJobs
    function reject(uint32 jobId, uint16 round, bytes32 digest) external {
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        _requireLastMerge(jobId, progress, round);
        uint48 member = _memberOf(jobId, hospitalId);
        Round memory slot = _round(jobId, progress.round);
        _requireJudge(jobId, progress, slot, member, hospitalId, digest);
        if (_isFinal(jobId, progress, slot)) _refuseRound(jobId, progress);

        progress.rejected |= member;
        emit Rejected(jobId, round, hospitalId, digest);
        // The merger has no voice in this: two thirds of the others. After 255 voids the dispute stays, and the job can
        // be cancelled.
        if (
            progress.rejected.count() >= Bits.twoThirds(slot.previous.count() - 1)
                && _round(jobId, round).voids != type(uint8).max
        ) {
            uint32 mergerId = _mergerOf(jobId, progress, slot);
            _void(jobId, progress, round);
            _slash(jobId, mergerId, 0);
        }
        _save(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function decide(Ruling calldata ruling) external {
        if (msg.sender != challenges) revert NotChallenges(msg.sender);
        uint32 jobId = ruling.jobId;
        Words.Progress memory progress = _load(jobId);
        bool cancelled = _is(progress, Status.Cancelled)
            && block.timestamp < uint256(progress.since) + _jobs[jobId].terms.check;
        if (!cancelled) _requireStatus(jobId, progress, Status.Running, Status.Reporting);
        if (ruling.round == 0 || ruling.round >= progress.round) revert NotMerged(jobId, ruling.round);
        if (!bonds.bondOf(address(this), jobId, ruling.challengerId).exists) {
            revert NotEnrolled(jobId, ruling.challengerId);
        }
        uint48 present = progress.present;
        uint32 mergerId = _mergerOf(jobId, progress, _round(jobId, ruling.round + 1));
        if (mergerId == ruling.challengerId) revert OwnMerge(jobId, ruling.round);

        if (!ruling.proven) {
            progress.present = present & ~_memberOf(jobId, ruling.challengerId);
        } else if (!cancelled) {
            _jobs[jobId].accumulators[ruling.round & 1] = ruling.accumulator;
            _void(jobId, progress, ruling.round);
        }
        _save(jobId, progress);
        (uint32 loser, uint32 winner) =
            ruling.proven ? (mergerId, ruling.challengerId) : (ruling.challengerId, mergerId);
        _slash(jobId, loser, winner);
    }

    /// @inheritdoc ITrainingJobs
    function report(uint32 jobId, bytes32 attests, uint32 correct, uint32 total, bytes32 metricsDigest) external {
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Reporting, Status.Reporting);
        Participant memory place;
        Words.unpack(_placeOf(jobId, hospitalId), place);
        uint48 member = Bits.only(place.index);
        Round memory slot = _round(jobId, progress.round);
        _requireMember(slot.participants, member, jobId, progress.round, hospitalId);
        _requireFirst(slot.submitted, member, jobId, progress.round, hospitalId);
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
        uint32 hospitalId = _operator();
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Running, Status.Paused);
        uint48 member = _memberOf(jobId, hospitalId);
        _requireFirst(progress.present, member, jobId, progress.round, hospitalId);

        progress.present |= member;
        _save(jobId, progress);
        emit Rejoined(jobId, hospitalId);

        _lock(jobId, hospitalId);
    }

    /// @inheritdoc ITrainingJobs
    function finish(uint32 jobId, IModelRegistry.Vector calldata state) external returns (uint32 version) {
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Reporting, Status.Reporting);
        _requireLastState(jobId, progress.rounds, state);
        Round memory slot = _round(jobId, progress.round);
        if (
            slot.submitted != slot.participants
                && block.timestamp < uint256(progress.since) + _jobs[jobId].terms.report
        ) revert ReportsMissing(jobId, slot.participants & ~slot.submitted);
        if (!_checkIsOver(jobId, progress)) {
            revert WindowOpen(jobId, progress.mergedAt + _jobs[jobId].terms.check);
        }

        if (!_countFinal(jobId, progress, slot)) revert NotFinal(jobId, progress.rounds);
        progress.status = uint8(Status.Finished);
        progress.since = uint40(block.timestamp);
        _save(jobId, progress);
        Tally storage tally = _jobs[jobId].tally;
        bool passed = _passes(tally, progress, slot);

        if (passed) {
            Terms storage terms = _jobs[jobId].terms;
            version = models.addCandidate(terms.modelId, terms.baseVersion, jobId, state);
        }
        emit JobFinished(jobId, passed, tally.correct, tally.total, version);
        _settle(jobId, progress);
    }

    /// @inheritdoc ITrainingJobs
    function cancel(uint32 jobId) external {
        Words.Progress memory progress = _load(jobId);
        _requireStatus(jobId, progress, Status.Enrolling, Status.Reporting);
        Round memory slot = _round(jobId, progress.round);
        bool own = msg.sender == _jobs[jobId].purpose.researcher && !_is(progress, Status.Reporting);
        if (!own && !_isStuck(jobId, progress, slot)) revert NotYoursToCancel(jobId);

        _countFinal(jobId, progress, slot);
        progress.status = uint8(Status.Cancelled);
        progress.since = uint40(block.timestamp);
        _save(jobId, progress);
        emit JobCancelled(jobId, msg.sender, progress.finalRounds);

        _settle(jobId, progress);
    }

    /// @dev Goes on from the merge just posted, by the hospital at `index`: the next round, or the reports. The caller
    /// writes `progress`.
    function _buildOn(uint32 jobId, Words.Progress memory progress, uint48 previous, uint8 index) private {
        uint48 merger = Bits.only(index);
        uint16 merged = progress.round;
        // Rounds end at 1,000, and places at 48.
        unchecked {
            progress.round = merged + 1;
            ++index;
        }
        progress.mergedAt = uint40(block.timestamp);
        progress.rejected = 0;
        Round memory slot = _round(jobId, progress.round);
        slot.previous = previous;
        slot.attested = merger;
        slot.merger = index;
        if (merger == previous) emit RoundFinal(jobId, merged);

        uint48 able = progress.present & _live(jobId, progress);
        if (merged < progress.rounds) {
            _openAttempt(jobId, progress, slot, able);
        } else {
            _openReporting(jobId, progress, slot, able == 0 ? progress.present : able);
        }
    }

    /// @dev Opens the next attempt of the round in `slot` for `able`, or pauses when they are too few. Groups are drawn
    /// once a round (anew after a pause): in a later attempt one that fell below three is left out. The caller writes
    /// `progress`.
    function _openAttempt(uint32 jobId, Words.Progress memory progress, Round memory slot, uint48 able) private {
        if (progress.grouped) {
            Draw memory drawn = _draw(jobId, progress);
            if (drawn.drawn && _is(progress, Status.Running)) {
                able = Groups.large(able, drawn.labels);
            } else {
                _saveDraw(jobId, Draw(progress.round, false, uint40(block.number) + 1, 0));
            }
        }
        if (_mayOpen(progress, able, slot.attempt)) {
            ++slot.attempt;
            slot.participants = able;
            _enter(progress, Status.Running);
            emit AttemptOpened(jobId, progress.round, slot.attempt, able);
        } else {
            slot.participants = 0;
            _enter(progress, Status.Paused);
            emit JobPaused(jobId, progress.round, able);
        }
        slot.submitted = 0;
        slot.since = uint40(block.timestamp);
        _saveRound(jobId, progress.round, slot);
    }

    /// @dev Asks for reports on the last round's merge. The caller writes `progress`.
    function _openReporting(uint32 jobId, Words.Progress memory progress, Round memory slot, uint48 asked) private {
        if (slot.attempt != type(uint8).max) ++slot.attempt;
        slot.participants = asked;
        slot.submitted = 0;
        slot.since = uint40(block.timestamp);
        _enter(progress, Status.Reporting);
        _saveRound(jobId, progress.round, slot);
        emit ReportingOpened(jobId, asked);
    }

    /// @dev Takes the merge of `round` back, and whatever was built on it; its merger is out until it is back with a bond.
    /// Its updates are settled: the next in line merges them. What lies in the rounds after it is left there, so that the
    /// cost does not grow with them; of it only the numbers of attempts are read again. The caller writes `progress`.
    function _void(uint32 jobId, Words.Progress memory progress, uint16 round) private {
        Round memory next = _round(jobId, round + 1);
        progress.present &= ~Bits.only(next.merger - 1);
        // The next time that a later round opens, it is drawn from a later block.
        if (progress.grouped) _saveDraw(jobId, Draw(0, false, 0, 0));
        if (_is(progress, Status.Reporting)) {
            _jobs[jobId].tally.correct = 0;
            _jobs[jobId].tally.total = 0;
        }
        _saveRound(jobId, round + 1, Round(0, 0, 0, 0, 0, next.attempt, next.voids, 0));
        Round memory slot = _round(jobId, round);
        if (slot.voids != type(uint8).max) ++slot.voids;
        slot.since = uint40(block.timestamp);
        _saveRound(jobId, round, slot);
        progress.round = round;
        // The round before was final when this one was merged.
        if (progress.finalRounds >= round) progress.finalRounds = round - 1;
        progress.rejected = 0;
        _enter(progress, Status.Running);
        emit MergeVoided(jobId, round, _mergeDigests[Words.roundKey(jobId, round)]);
        delete _mergeDigests[Words.roundKey(jobId, round)];
    }

    /// @dev Slashes a bond in favour of `to`, or of the DAO alone. Here once for all steps, as the other calls are: each
    /// call to another contract is a hundred bytes of code.
    function _slash(uint32 jobId, uint32 hospitalId, uint32 to) private {
        bonds.slash(jobId, hospitalId, to);
    }

    function _lock(uint32 jobId, uint32 hospitalId) private {
        bonds.lock(jobId, hospitalId);
    }

    /// @dev Slashes the bonds of `members` in favour of the DAO.
    function _slashEach(uint32 jobId, Words.Progress memory progress, uint48 members) private {
        uint32[] memory ids = Words.list(_jobs[jobId].hospitalIds, progress.enrolled);
        for (uint256 index; index < ids.length; ++index) {
            if (members & Bits.only(index) != 0) _slash(jobId, ids[index], 0);
        }
    }

    /// @dev Attests the last merge for a hospital whose update or report builds on it.
    function _attestByDoing(
        uint32 jobId,
        Words.Progress memory progress,
        Round memory slot,
        uint48 member,
        uint32 hospitalId,
        bytes32 attests
    ) private {
        uint16 round = _lastMerged(progress);
        _requireStanding(jobId, round, attests);
        _requireFirst(progress.rejected, member, jobId, round, hospitalId);
        if (slot.previous & ~slot.attested & member == 0) return;
        _attest(jobId, progress, slot, member, hospitalId, attests);
    }

    /// @dev Counts an attestation. The caller writes `slot`.
    function _attest(
        uint32 jobId,
        Words.Progress memory progress,
        Round memory slot,
        uint48 member,
        uint32 hospitalId,
        bytes32 digest
    ) private returns (bool becameFinal) {
        slot.attested |= member;
        emit Attested(jobId, _lastMerged(progress), hospitalId, digest);
        becameFinal = !_isCounted(progress) && slot.attested.count() == Bits.twoThirds(slot.previous.count());
        if (becameFinal) emit RoundFinal(jobId, _lastMerged(progress));
    }

    /// @dev Counts the last merge, if it is final. Two thirds of attestations said so when they came; silence speaks
    /// here, and moves `slot.since` to where the turns began. The caller writes `progress`; `slot` need not be kept.
    function _countFinal(uint32 jobId, Words.Progress memory progress, Round memory slot) private returns (bool) {
        if (_isCounted(progress)) return true;
        if (!_isAttested(slot)) {
            if (!_isSilent(jobId, progress)) return false;
            slot.since = uint40(_turnsBegin(jobId, progress, slot));
            emit RoundFinal(jobId, _lastMerged(progress));
        }
        ++progress.finalRounds;
        return true;
    }

    function _enter(Words.Progress memory progress, Status status) private view {
        if (_is(progress, status)) return;
        progress.status = uint8(status);
        progress.since = uint40(block.timestamp);
    }

    /// @dev Credits everyone's share of the rounds that are final.
    function _settle(uint32 jobId, Words.Progress memory progress) private {
        rewards.settle(
            jobId, progress.finalRounds, progress.rounds, _contributions(jobId, progress.enrolled, progress.finalRounds)
        );
    }

    /// @dev Whether nothing but an end is left.
    function _isStuck(uint32 jobId, Words.Progress memory progress, Round memory slot) private view returns (bool) {
        if (_is(progress, Status.Enrolling)) {
            return _enrolmentIsOver(jobId, progress) && _able(jobId, progress, slot).count() < progress.minHospitals;
        }
        // Its check is over, somebody rejected it, and neither side has two thirds.
        if (!_isFinal(jobId, progress, slot)) return _checkIsOver(jobId, progress);
        if (_is(progress, Status.Paused)) {
            return block.timestamp >= uint256(progress.since) + _jobs[jobId].terms.pause
                && !_mayOpen(progress, _able(jobId, progress, slot), slot.attempt);
        }
        if (!_is(progress, Status.Running) || slot.submitted != slot.participants) return false;
        uint256 turns = slot.submitted.count() * _jobs[jobId].terms.merge;
        return block.timestamp >= _turnsBegin(jobId, progress, slot) + turns;
    }
}
