// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IConsentToken} from "./IConsentToken.sol";
import {IHospitalRegistry} from "./IHospitalRegistry.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {IRewardPool} from "./IRewardPool.sol";

/// @title Training jobs and their rounds
/// @notice A job: Enrolling, then Running (or Paused when too few hospitals are live), then Reporting, then Finished;
/// or Cancelled from any of the first four. A round: its attempt opens with a fixed set of participants; each submits;
/// when all updates are in, the merger in line posts the next state, which opens the next round. A submit (or report)
/// attests the merge it builds on; a merge is final at two thirds of its participants, or when its check window passed
/// in silence, and the next merge waits for that. A merge that is proved false, even a final one, is void together with
/// all that was built on it, until the window after the last round is over and the job finished.
///
/// Participants are bits of a `uint48`: bit i is the i-th hospital that enrolled.
/// Groups are labels of four bits in a word: hospital i is in group (labels >> 4i) & 15. Zero: all are in one group.
/// Digests are SHA-256 over abi.encode:
///   accumulator  a0 = sha256(jobId, round, attempt, labels);  a' = sha256(a, index, update.cid, update.root)
///   merge digest      sha256(jobId, round, attempt, accumulator, state.cid, state.root)
interface ITrainingJobs {
    enum Status {
        None,
        Enrolling,
        Running,
        Paused,
        Reporting,
        Finished,
        Cancelled
    }

    /// @notice How long each phase may take, in seconds, at most 366 days.
    /// @param enrol from proposal to the end of enrolment.
    /// @param submit from an attempt's opening until a missing update lets a new attempt open.
    /// @param merge each merger's turn.
    /// @param check from a merge until silence makes it final.
    /// @param report from the last merge until the job can finish without the missing reports.
    /// @param pause longest time below the minimum of hospitals.
    struct Phases {
        uint32 enrol;
        uint32 submit;
        uint32 merge;
        uint32 check;
        uint32 report;
        uint32 pause;
    }

    /// @notice How the sums of groups are combined, lane by lane. With one group both are its sum.
    enum Rule {
        Mean,
        Median
    }

    /// @notice How updates become the next state: all that it takes to compute a chunk of it again.
    /// @param lanes numbers in the state vector.
    /// @param serverStep 16 fraction bits; 65,536 is a step of one.
    /// @param groups most groups that a round's participants are drawn into, of at least three each; 1: no draw.
    /// @param masked updates are masked pairwise: three hospitals at least, each with an X25519 key for this job.
    struct MergeRule {
        uint32 lanes;
        uint32 serverStep;
        Rule rule;
        uint8 groups;
        bool masked;
    }

    /// @notice What a researcher proposes.
    /// @param specDigest digest of the job spec, canonical JSON on IPFS.
    /// @param purpose DUO permission, disease, pledges, region; `researcher` must be the caller.
    /// @param irbApproval digest of an ethics approval; set if and only if IRB is pledged.
    /// @param gateBps accuracy over all held-out records from which the outcome becomes a candidate.
    struct Proposal {
        bytes32 specDigest;
        uint32 modelId;
        uint32 baseVersion;
        IConsentToken.Purpose purpose;
        bytes32 irbApproval;
        uint16 rounds;
        uint8 minHospitals;
        uint8 maxHospitals;
        uint16 gateBps;
        MergeRule merge;
        Phases phases;
        address rewardToken;
        uint256 rewardAmount;
        IRewardPool.Split split;
    }

    /// @notice A job as it stands.
    /// @param round the round now open, from 1; rounds + 1 while reporting.
    /// @param finalRounds rounds that are final.
    /// @param enrolled how many hospitals enrolled.
    /// @param present bit set of hospitals that have not missed an attempt since they last joined.
    /// @param since unix seconds at which the status began.
    struct Job {
        Status status;
        uint16 round;
        uint16 finalRounds;
        uint8 enrolled;
        uint48 present;
        uint40 since;
        uint16 rounds;
        uint8 minHospitals;
        uint8 maxHospitals;
        uint16 gateBps;
        uint32 modelId;
        uint32 baseVersion;
        MergeRule merge;
        Phases phases;
        IConsentToken.Purpose purpose;
        bytes32 specDigest;
        bytes32 irbApproval;
        bytes32 accumulator;
    }

    /// @notice A round's record: one slot.
    /// @param participants who may submit in this attempt (while reporting: who is asked to report).
    /// @param submitted whose update (report) is in.
    /// @param previous the participants of the round before, whose merge this round builds on.
    /// @param attested those of `previous` who attest that merge, its merger included.
    /// @param merger index of the hospital that merged this round, plus one; zero before.
    /// @param attempt from 1; never reused, also after a void.
    /// @param voids merges of this round that were rejected.
    /// @param since unix seconds at which the phase began: the attempt's opening, the draw of its groups, or the last
    /// update's arrival.
    struct Round {
        uint48 participants;
        uint48 submitted;
        uint48 previous;
        uint48 attested;
        uint8 merger;
        uint8 attempt;
        uint8 voids;
        uint40 since;
    }

    /// @notice A hospital in a job, pinned at enrolment.
    /// @param index its bit; @param exists false when it never enrolled.
    struct Participant {
        bool exists;
        uint8 index;
        uint32 consentId;
        uint32 datasetId;
        uint32 datasetVersion;
        uint32 trainRecords;
        uint32 heldOutRecords;
    }

    /// @notice The draw of the open round's groups; zero where the job has one group, and in a round whose merge was void.
    /// @param round the round it belongs to.
    /// @param drawn whether `labels` stand.
    /// @param blockNumber the block whose hash decides; mined after the participants were fixed.
    struct Draw {
        uint16 round;
        bool drawn;
        uint40 blockNumber;
        uint192 labels;
    }

    /// @notice What the challenges contract found.
    /// @param accumulator the round's, as its merge digest binds it.
    /// @param challengerId the hospital that asked.
    /// @param proven whether the merge is false.
    struct Ruling {
        uint32 jobId;
        uint16 round;
        bytes32 accumulator;
        uint32 challengerId;
        bool proven;
    }

    /// @notice An update.
    /// @param attests merge digest of the round before (zero in round 1).
    struct Submission {
        uint16 round;
        uint8 attempt;
        bytes32 attests;
        IModelRegistry.Vector update;
        uint64 epsilonTotalMicro;
    }

    event JobProposed(uint32 indexed jobId, address indexed researcher, Proposal proposal);
    event Enrolled(uint32 indexed jobId, uint32 indexed hospitalId, Participant participant, bytes32 maskKey);
    event AttemptOpened(uint32 indexed jobId, uint16 indexed round, uint8 attempt, uint48 participants);
    event GroupsDrawn(uint32 indexed jobId, uint16 indexed round, bytes32 seed, uint192 labels);
    event Doubted(
        uint32 indexed jobId, uint16 indexed round, uint32 indexed hospitalId, uint8 attempt, uint32 by
    );
    event Dropped(uint32 indexed jobId, uint16 indexed round, uint32 indexed hospitalId, uint8 attempt);
    event JobPaused(uint32 indexed jobId, uint16 indexed round, uint48 live);
    event Rejoined(uint32 indexed jobId, uint32 indexed hospitalId);
    event UpdateSubmitted(
        uint32 indexed jobId,
        uint16 indexed round,
        uint32 indexed hospitalId,
        uint8 attempt,
        IModelRegistry.Vector update,
        uint64 epsilonTotalMicro
    );
    event Merged(
        uint32 indexed jobId,
        uint16 indexed round,
        uint32 indexed hospitalId,
        uint8 attempt,
        IModelRegistry.Vector state,
        bytes32 mergeDigest
    );
    event Attested(uint32 indexed jobId, uint16 indexed round, uint32 indexed hospitalId, bytes32 mergeDigest);
    event Rejected(uint32 indexed jobId, uint16 indexed round, uint32 indexed hospitalId, bytes32 mergeDigest);
    event MergeVoided(uint32 indexed jobId, uint16 indexed round, bytes32 mergeDigest);
    event RoundFinal(uint32 indexed jobId, uint16 indexed round);
    event ReportingOpened(uint32 indexed jobId, uint48 participants);
    event Reported(
        uint32 indexed jobId, uint32 indexed hospitalId, uint32 correct, uint32 total, bytes32 metricsDigest
    );
    event JobFinished(uint32 indexed jobId, bool passed, uint64 correct, uint64 total, uint32 version);
    event JobCancelled(uint32 indexed jobId, address by, uint16 finalRounds);

    /// @notice No job has this id.
    error UnknownJob(uint32 jobId);
    /// @notice The job is in another status than this step needs.
    error WrongJobStatus(uint32 jobId, Status status);
    /// @notice A proposal that contradicts itself; `field` names what is wrong.
    error BadProposal(string field);
    /// @notice The hospital enrolled already.
    error AlreadyEnrolled(uint32 jobId, uint32 hospitalId);
    /// @notice All places are taken, or the time to enrol is over.
    error EnrolmentClosed(uint32 jobId);
    /// @notice The hospital did not enrol in the job.
    error NotEnrolled(uint32 jobId, uint32 hospitalId);
    /// @notice The hospital is not among the participants of the round.
    error NotParticipant(uint32 jobId, uint16 round, uint32 hospitalId);
    /// @notice The open round and attempt are others, namely these.
    error NotOpen(uint32 jobId, uint16 round, uint8 attempt);
    /// @notice The hospital's update, attestation, rejection or report is in already.
    error AlreadyDone(uint32 jobId, uint16 round, uint32 hospitalId);
    /// @notice The merge that stands is another one.
    error WrongMerge(uint32 jobId, uint16 round, bytes32 standing);
    /// @notice Updates of the round are still missing.
    error UpdatesMissing(uint32 jobId, uint16 round, uint48 missing);
    /// @notice Another hospital is in line to merge until `until`.
    error NotYourTurn(uint32 jobId, uint16 round, uint40 until);
    /// @notice The round before is not final yet.
    error NotFinal(uint32 jobId, uint16 round);
    /// @notice There is nothing to open now: enrolment still runs, all updates are in or may still come, or too few
    /// hospitals are live.
    error NothingToOpen(uint32 jobId);
    /// @notice This many records were held out at enrolment, and the report must cover all of them.
    error WrongTotal(uint32 jobId, uint32 heldOutRecords);
    /// @notice Reports are still missing, and their time is not over.
    error ReportsMissing(uint32 jobId, uint48 missing);
    /// @notice Only the researcher may cancel a job that can still go on.
    error NotYoursToCancel(uint32 jobId);
    /// @notice A digest is zero.
    error EmptyDigest();
    /// @notice Not a key to mask with: missing in a masked job, of low order (RFC 7748), or given where none is used.
    error BadMaskKey(bytes32 maskKey);
    /// @notice The round's groups are not drawn yet.
    error NotDrawn(uint32 jobId, uint16 round);
    /// @notice There is nothing to draw now: one group only, drawn already, or the block that decides is not there yet.
    error NothingToDraw(uint32 jobId, uint40 blockNumber);
    /// @notice Fraud can still be proved until then.
    error WindowOpen(uint32 jobId, uint40 until);
    /// @notice Only the challenges contract says what was proved.
    error NotChallenges(address caller);
    /// @notice No merge of this round stands.
    error NotMerged(uint32 jobId, uint16 round);
    /// @notice A hospital cannot challenge its own merge.
    error OwnMerge(uint32 jobId, uint16 round);

    /// @notice Proposes a job, and moves its reward into escrow. Anyone.
    function propose(Proposal calldata proposal) external returns (uint32 jobId);

    /// @notice Enrols the caller's hospital with a consent and a version of its dataset, and locks its bond. Only an
    /// operator.
    /// @param maskKey an X25519 public key made for this job alone; zero when the job is not masked.
    function enrol(uint32 jobId, uint32 consentId, uint32 datasetVersion, bytes32 maskKey) external;

    /// @notice Opens the attempt that can be opened: round 1 once enrolment is over; a new attempt once an update is
    /// missing past its deadline, or can never come because its consent is dead; the next round after a pause. Anyone.
    function open(uint32 jobId) external;

    /// @notice Draws the open round's groups from the hash of a block that came after its participants were fixed. When
    /// nobody drew while the chain still knew that hash, a later block decides. Anyone.
    function draw(uint32 jobId) external;

    /// @notice Votes that the bytes of another hospital's update cannot be had or do not match. At two thirds of the
    /// others it is dropped, its bond goes to the DAO, and a new attempt opens without it. Only an operator of a
    /// participant of the open attempt.
    function doubt(uint32 jobId, uint16 round, uint8 attempt, uint32 hospitalId) external;

    /// @notice Sends the caller's hospital's update, and attests the merge it was trained on. Only an operator of a
    /// participant whose consent is live and matches.
    function submit(uint32 jobId, Submission calldata submission) external;

    /// @notice Posts the merge of a round. Only an operator of a submitter, in line and with its bond in place. Needs no
    /// consent.
    function merge(uint32 jobId, uint16 round, uint8 attempt, IModelRegistry.Vector calldata state) external;

    /// @notice Attests the last merge, for those who send nothing that does so. Only an operator of a participant of
    /// its round. Needs no consent.
    function attest(uint32 jobId, uint16 round, bytes32 mergeDigest) external;

    /// @notice Rejects the last merge: for one whose state cannot be had, so that nobody can prove what it is. At two
    /// thirds of the others it is void, the merger's bond goes to the DAO, and the next in line merges the same updates.
    /// Only an operator of a participant of its round other than its merger, who has not attested.
    function reject(uint32 jobId, uint16 round, bytes32 mergeDigest) external;

    /// @notice Reports metrics on held-out data of the final state, and attests the last merge. Only an operator of a
    /// hospital that is asked to report.
    function report(uint32 jobId, bytes32 attests, uint32 correct, uint32 total, bytes32 metricsDigest) external;

    /// @notice Rules on a challenge. Proven: the merger's bond is slashed, the merge and all that was built on it are void,
    /// and the next in line merges the same updates (of a cancelled job only the bond is slashed, within the window).
    /// Not proven: the challenger's bond is slashed. Only the challenges contract.
    function decide(Ruling calldata ruling) external;

    /// @notice Comes back after a missed attempt, from the next round on, with a bond in place. Only an operator.
    function rejoin(uint32 jobId) external;

    /// @notice Ends a job whose reports are in or late, once the window after its last merge is over: gate, candidate,
    /// shares. Anyone.
    /// @param state the final state, as the last merge named it.
    /// @return version the candidate's number; zero when the gate failed.
    function finish(uint32 jobId, IModelRegistry.Vector calldata state) external returns (uint32 version);

    /// @notice Ends a job before its time; rounds that are final stay earned, the rest is refunded. The researcher until
    /// reporting; anyone when it cannot go on: too few enrolled, paused too long, no merger came, or a merge that is
    /// neither attested nor rejected by enough.
    function cancel(uint32 jobId) external;

    /// @notice A job. Reverts with `UnknownJob`.
    function job(uint32 jobId) external view returns (Job memory);

    /// @notice A round's record; zero before it opened.
    function roundOf(uint32 jobId, uint16 round) external view returns (Round memory);

    /// @notice The draw of the open round's groups.
    function drawOf(uint32 jobId) external view returns (Draw memory);

    /// @notice Unix seconds from which the bonds of a job are free; the largest number while it runs.
    function bondsFreeAt(uint32 jobId) external view returns (uint40);

    /// @notice How a job merges. Cheaper than the whole job.
    function mergeRule(uint32 jobId) external view returns (MergeRule memory);

    /// @notice The digest of the merge that stands for a round; zero before it is merged.
    function mergeDigest(uint32 jobId, uint16 round) external view returns (bytes32);

    /// @notice A hospital's place in a job.
    function participant(uint32 jobId, uint32 hospitalId) external view returns (Participant memory);

    /// @notice Ids of the hospitals that enrolled, in the order of their bits.
    function hospitalsOf(uint32 jobId) external view returns (uint32[] memory);

    /// @notice Participants that may merge the open round now, as bits; zero while updates are missing.
    function mergersInLine(uint32 jobId) external view returns (uint48);

    /// @notice The registry of the hospitals that take part.
    function hospitals() external view returns (IHospitalRegistry);

    /// @notice The registry of the models that jobs start from.
    function models() external view returns (IModelRegistry);

    /// @notice How many jobs there are: ids run from 1 to this.
    function jobCount() external view returns (uint32);
}
