"""Every error of every contract as a sentence, and what to do next; arguments by Solidity's names.

A test fails when an error of a packaged ABI is missing here, or a sentence names an argument that its error lacks.
"""

from __future__ import annotations

_MEMBERS = "`salus hospital list` shows the members and their accounts."
_CONSENTS = "`salus consent list` shows the consents and their terms."
_JOB = "`salus job show {jobId}` shows where it stands."
_VOTE = "`salus vote show` lists the proposals and their states."
_ONLY_DAO = "Only a vote of the DAO can do this: `salus vote propose`."
_AGAIN = "Nothing needs to be done."

SENTENCES: dict[str, tuple[str, str]] = {
    # hospitals
    "UnknownHospital": ("There is no hospital {hospitalId}.", _MEMBERS),
    "AccountTaken": (
        "Account {account} already acts, or once acted, for hospital {hospitalId}.",
        "Use a new account.",
    ),
    "NotOperator": ("Account {account} is not the operator of any hospital.", _MEMBERS),
    "NotAdmin": ("Account {account} is not the admin of any hospital.", _MEMBERS),
    "Suspended": ("Hospital {hospitalId} is suspended by the DAO.", "A vote of the DAO can reinstate it."),
    "NotSuspended": ("Hospital {hospitalId} is not suspended.", _AGAIN),
    "ZeroAddress": ("An address that must be set is zero.", "Give admin, operator and all three funds."),
    "BadName": ("A hospital's name is 1 to 64 bytes.", "Choose another name."),
    # datasets
    "UnknownDataset": ("There is no dataset {datasetId}.", "`salus dataset list` shows the datasets."),
    "UnknownVersion": (
        "Dataset {datasetId} has no version {version}.",
        "`salus dataset list` shows the versions.",
    ),
    "NotYourDataset": (
        "Dataset {datasetId} does not belong to hospital {hospitalId}.",
        "Use its own hospital's account.",
    ),
    "EmptyVersion": (
        "A dataset version needs a root, a schema, a profile, evidence and at least one training record.",
        "Prepare the dataset again with `salus dataset register`.",
    ),
    # consents
    "UnknownConsent": ("There is no consent {consentId}.", _CONSENTS),
    "NotYourConsent": ("Consent {consentId} was not given by hospital {hospitalId}.", _CONSENTS),
    "ConsentIsRevoked": (
        "Consent {consentId} was revoked; it can never be used again.",
        "The hospital's admin may mint a new one: `salus consent mint`.",
    ),
    "ConsentExpired": (
        "Consent {consentId} expired at {expiresAt}.",
        "The hospital's admin may mint a new one: `salus consent mint`.",
    ),
    "ConsentExhausted": (
        "All {maxRounds} rounds of consent {consentId} are used.",
        "The hospital's admin may mint a new one: `salus consent mint`.",
    ),
    "NotGrantee": (
        "Consent {consentId} is for researcher {grantee}, not for {researcher}.",
        "Ask the hospital for a consent of your own.",
    ),
    "PurposeNotAllowed": (
        "Consent {consentId} allows {allowed}; the job asks for {asked}.",
        "Propose the job for a narrower purpose, or ask the hospital for a wider consent.",
    ),
    "DiseaseNotAllowed": (
        "Consent {consentId} is for disease MONDO:{allowed}; the job is about MONDO:{asked}.",
        "Propose the job for that disease, or ask the hospital for another consent.",
    ),
    "PledgesMissing": (
        "Consent {consentId} asks for pledges that the job does not make: {missing}.",
        "Pledge them in the job's spec, if you can keep them.",
    ),
    "RegionNotAllowed": (
        "Consent {consentId} is for region {allowed} (UN M49); the job is for region {asked}.",
        "Propose the job for that region, or ask the hospital for another consent.",
    ),
    "EpsilonFalls": (
        "Dataset {datasetId} has already spent {spent} millionths of epsilon; a total of {declared} is less.",
        "Declare the dataset's total over all its jobs.",
    ),
    "EpsilonExceeded": (
        "A total of {declared} millionths of epsilon passes the budget of {budget} of consent {consentId}.",
        "The job can not go on with this dataset unless its hospital consents to more.",
    ),
    "BadTerms": (
        "The terms contradict themselves.",
        "A disease goes with DS and only with it, a region with GS and only with it; the expiry lies ahead; "
        "at least one round is allowed.",
    ),
    "SignatureExpired": (
        "The signature was good until {deadline}.",
        "Ask the admin to sign again: `salus consent sign`.",
    ),
    "BadSignature": (
        "The signature is not the admin's over these terms, on this chain and contract, or it was used already.",
        "Ask the admin to sign again: `salus consent sign`.",
    ),
    "Soulbound": (
        "Consent {tokenId} never changes owner.",
        "It can only be revoked: `salus consent revoke`.",
    ),
    "NotConsumer": ("Contract {caller} may not use consents.", _ONLY_DAO),
    "TooManyConsents": (
        "{count} consents are too many for one question; at most 256 are allowed.",
        "Ask in parts.",
    ),
    # models
    "UnknownModel": ("There is no model {modelId}.", "`salus model list` shows the models."),
    "UnknownModelVersion": (
        "Model {modelId} has no version {version}.",
        "`salus model list` shows the versions.",
    ),
    "WrongStatus": (
        "Version {version} of model {modelId} is {status}, which this step does not allow.",
        "Only a candidate can be released, only a released version withdrawn, and no withdrawn one used as a base.",
    ),
    "NotJobs": ("Contract {caller} is no jobs contract that the DAO allows.", _ONLY_DAO),
    "BadModel": ("A model needs a name of 1 to 64 bytes and a base state.", "Give both."),
    # rewards
    "TokenNotAllowed": (
        "Rewards can not be paid in token {token}.",
        "Choose one of the DAO's list: `salus reward show`.",
    ),
    "SplitSum": (
        "The split sums to {sum} basis points; it must be 10,000.",
        "Correct reward.split_bps in the spec.",
    ),
    "SplitBelowFloor": (
        "A share of the split is below the DAO's floor.",
        "`salus reward show` shows the floor.",
    ),
    "AmountMismatch": (
        "{sent} were sent and {received} arrived: the token takes a fee.",
        "Choose a token that arrives in full.",
    ),
    "AlreadyEscrowed": ("The reward of job {jobId} is in escrow already.", _AGAIN),
    "NotHeld": ("Job {jobId} has no reward in escrow, or it was settled already.", _JOB),
    "NothingToClaim": ("There is nothing to claim.", "`salus reward show` shows what is owed to whom."),
    "NoReward": ("The reward is zero.", "Offer one; hospitals are paid for each final round."),
    # jobs
    "UnknownJob": ("There is no job {jobId}.", "`salus job list` shows the jobs."),
    "WrongJobStatus": ("Job {jobId} is {status}, which this step does not allow.", _JOB),
    "BadProposal": (
        "The proposal contradicts itself: {field}.",
        "`salus job check SPEC` explains each field.",
    ),
    "AlreadyEnrolled": ("Hospital {hospitalId} enrolled in job {jobId} already.", _AGAIN),
    "EnrolmentClosed": ("Enrolment in job {jobId} is over.", _JOB),
    "NotEnrolled": ("Hospital {hospitalId} did not enrol in job {jobId}.", _JOB),
    "NotParticipant": (
        "Hospital {hospitalId} does not take part in round {round} of job {jobId}.",
        "It may come back from the next round on, if its consent is live.",
    ),
    "NotOpen": ("Job {jobId} is at round {round}, attempt {attempt}: another one than was meant.", _JOB),
    "AlreadyDone": ("Hospital {hospitalId} has done this in round {round} of job {jobId} already.", _AGAIN),
    "WrongMerge": (
        "Another merge stands for round {round} of job {jobId}: {standing}.",
        "Read the job again, check that merge and attest or reject it.",
    ),
    "UpdatesMissing": (
        "Round {round} of job {jobId} still waits for the updates of {missing} hospitals.",
        "Wait.",
    ),
    "NotYourTurn": (
        "Another hospital is in line to merge round {round} of job {jobId} until {until}.",
        "Wait.",
    ),
    "NotFinal": ("The round before round {round} of job {jobId} is not final yet.", "Wait for attestations."),
    "NothingToOpen": ("There is nothing to open in job {jobId} now.", _JOB),
    "WrongTotal": (
        "The report must cover all {heldOutRecords} records that were held out at enrolment in job {jobId}.",
        "Report on the dataset version that was enrolled.",
    ),
    "ReportsMissing": (
        "Job {jobId} still waits for the reports of {missing} hospitals.",
        "Wait, or until their time is over.",
    ),
    "NotYoursToCancel": ("Job {jobId} can still go on, so only its researcher may cancel it.", _JOB),
    "BadMaskKey": (
        "{maskKey} is no key to mask with in this job.",
        "A masked job takes an X25519 public key that is not of low order, another job none. The node makes it.",
    ),
    "NotDrawn": ("The groups of round {round} of job {jobId} are not drawn yet.", "Wait, or draw them."),
    "NothingToDraw": (
        "There is nothing to draw in job {jobId} now; block {blockNumber} decides.",
        "Wait for the block after it, if the round's groups are not drawn yet.",
    ),
    "WindowOpen": ("Fraud in job {jobId} can still be proved until {until}.", "Wait until then."),
    "NotChallenges": ("Contract {caller} is not the challenges contract.", "Challenge through that one."),
    "NotMerged": ("No merge of round {round} of job {jobId} stands.", _JOB),
    "OwnMerge": (
        "The merge of round {round} of job {jobId} is this hospital's own.",
        "Another hospital may challenge it.",
    ),
    # challenges
    "WrongClaim": (
        "The claim does not describe the merge that stands for round {round} of job {jobId}.",
        "Read the job again: another attempt may have been merged, or the merge was voided.",
    ),
    "NoSuchChunk": ("There is no chunk {chunkIndex} in a state of {lanes} numbers.", "Count chunks from 0."),
    "BadChunk": (
        "A chunk of the claim does not lead to its vector's root (part {part}).",
        "Fetch the vectors again, and match them to their digests.",
    ),
    # bonds
    "BondTooSmall": (
        "Hospital {hospitalId} has {free} of token {token} free for bonds; a bond is {needed}.",
        "Deposit the rest: `salus bond deposit`.",
    ),
    "NotLocked": (
        "Hospital {hospitalId} has no bond in job {jobId}.",
        "`salus bond show` shows what is locked.",
    ),
    "StillLocked": (
        "The bonds of job {jobId} are locked until {until}.",
        "They are freed when fraud can no longer be proved.",
    ),
    "NothingToPay": (
        "There is nothing to deposit, to withdraw or to pay.",
        "`salus bond show` shows the bonds.",
    ),
    "EmptyDigest": ("A digest is zero.", "Pin the document or vector first and name it by its digest."),
    # the DAO: OpenZeppelin's Governor, its timelock and the votes
    "HoldersMismatch": ("{holders} holders were given {amounts} amounts.", "Give one amount to each holder."),
    "GovernorAlreadyCastVote": ("Account {voter} has voted already.", "A vote cannot be changed."),
    "GovernorAlreadyQueuedProposal": ("Proposal {proposalId} is queued already.", _VOTE),
    "GovernorDisabledDeposit": ("The governor takes no deposits.", "Send money to the timelock, if at all."),
    "GovernorInsufficientProposerVotes": (
        "Account {proposer} has {votes} votes; a proposal needs {threshold}.",
        "Delegate votes to it, or let another token holder propose.",
    ),
    "GovernorInvalidProposalLength": (
        "The proposal's lists differ in length: {targets} targets, {calldatas} calls, {values} values.",
        "Give one of each for every call.",
    ),
    "GovernorInvalidQuorumFraction": (
        "A quorum of {quorumNumerator} of {quorumDenominator} is not possible.",
        "Lower it.",
    ),
    "GovernorInvalidSignature": ("The signature is not that of voter {voter}.", "Sign again."),
    "GovernorInvalidVoteParams": (
        "The vote carries parameters that the governor does not know.",
        "Vote without them.",
    ),
    "GovernorInvalidVoteType": ("A vote is for, against or abstain.", "Choose one of them."),
    "GovernorInvalidVotingPeriod": (
        "A voting period of {votingPeriod} s is not possible.",
        "Give a longer one.",
    ),
    "GovernorNonexistentProposal": ("There is no proposal {proposalId}.", _VOTE),
    "GovernorNotQueuedProposal": (
        "Proposal {proposalId} is not queued.",
        "Queue it first: `salus vote queue`.",
    ),
    "GovernorOnlyExecutor": ("Account {account} is not the timelock.", _ONLY_DAO),
    "GovernorQueueNotImplemented": ("This governor queues nothing.", _VOTE),
    "GovernorRestrictedProposer": (
        "Account {proposer} may not make this proposal.",
        "Its text names another proposer.",
    ),
    "GovernorUnableToCancel": (
        "Account {account} can not cancel proposal {proposalId}.",
        "Only its proposer, before the vote.",
    ),
    "GovernorUnexpectedProposalState": (
        "Proposal {proposalId} is {current}; this step needs it {expectedStates}.",
        _VOTE,
    ),
    "TimelockInsufficientDelay": (
        "A delay of {delay} s is below the timelock's {minDelay} s.",
        "Give a longer one.",
    ),
    "TimelockInvalidOperationLength": (
        "The operation's lists differ in length: {targets} targets, {payloads} calls, {values} values.",
        "Give one of each for every call.",
    ),
    "TimelockUnauthorizedCaller": ("Account {caller} is not the timelock itself.", _ONLY_DAO),
    "TimelockUnexecutedPredecessor": ("Operation {predecessorId} must be executed first.", _VOTE),
    "TimelockUnexpectedOperationState": (
        "Operation {operationId} of the timelock is not ready.",
        "Its delay may not be over yet: `salus vote status`.",
    ),
    "ERC5805FutureLookup": ("Votes at {timepoint} can not be counted yet; it is {clock}.", "Wait."),
    "ERC6372InconsistentClock": (
        "The vote token's clock is not what it says it is.",
        "The token is not Salus' own.",
    ),
    "VotesExpiredSignature": ("The signature was good until {expiry}.", "Sign again."),
    # rights
    "OwnableUnauthorizedAccount": ("Account {account} may not do this.", _ONLY_DAO),
    "OwnableInvalidOwner": ("{owner} can not own a contract.", "Name the timelock."),
    "AccessControlUnauthorizedAccount": ("Account {account} lacks the role {neededRole}.", _ONLY_DAO),
    "AccessControlBadConfirmation": ("A role can only be renounced by its own holder.", "Use that account."),
    # tokens
    "ERC20InsufficientAllowance": (
        "Contract {spender} may take {allowance} of the token and needs {needed}.",
        "Approve the amount first.",
    ),
    "ERC20InsufficientBalance": (
        "Account {sender} holds {balance} of the token and needs {needed}.",
        "Fund it first.",
    ),
    "ERC20InvalidApprover": ("{approver} can not approve.", "Give an account."),
    "ERC20InvalidReceiver": ("{receiver} can not receive tokens.", "Give an account."),
    "ERC20InvalidSender": ("{sender} can not send tokens.", "Give an account."),
    "ERC20InvalidSpender": ("{spender} can not be approved.", "Give an account."),
    "ERC20ExceededSafeSupply": (
        "A supply of {increasedSupply} passes the most that votes can count, {cap}.",
        "Mint less.",
    ),
    "ERC2612ExpiredSignature": ("The permit was good until {deadline}.", "Sign again."),
    "ERC2612InvalidSigner": (
        "The permit was signed by {signer}, not by {owner}.",
        "Sign with the owner's account.",
    ),
    "ERC721IncorrectOwner": ("Token {tokenId} belongs to {owner}, not to {sender}.", _CONSENTS),
    "ERC721InsufficientApproval": (
        "Account {operator} may not move token {tokenId}.",
        "Consents never change owner.",
    ),
    "ERC721InvalidApprover": ("{approver} can not approve.", "Consents never change owner."),
    "ERC721InvalidOperator": ("{operator} can not be an operator.", "Consents never change owner."),
    "ERC721InvalidOwner": ("{owner} can not own a token.", "Give an account."),
    "ERC721InvalidReceiver": ("{receiver} can not receive a token.", "Give an account."),
    "ERC721InvalidSender": ("{sender} can not send a token.", "Consents never change owner."),
    "ERC721NonexistentToken": ("There is no token {tokenId}.", _CONSENTS),
    "SafeERC20FailedOperation": (
        "Token {token} refused the payment.",
        "Check its balance and rules with its publisher.",
    ),
    # signatures, arithmetic and calls
    "ECDSAInvalidSignature": ("The signature is malformed.", "Sign again."),
    "ECDSAInvalidSignatureLength": ("A signature has 65 bytes, not {length}.", "Sign again."),
    "ECDSAInvalidSignatureS": ("The signature is malformed: s is {s}.", "Sign again."),
    "InvalidAccountNonce": (
        "The next nonce of account {account} is {currentNonce}.",
        "Sign again with that nonce.",
    ),
    "CheckpointUnorderedInsertion": (
        "A count of votes came out of order.",
        "This is a defect of the contract.",
    ),
    "SafeCastOverflowedUintDowncast": ("{value} does not fit in {bits} bits.", "Give a smaller number."),
    "StringTooLong": ("The text is too long: {str}.", "Give a shorter one."),
    "InvalidShortString": ("A stored text is malformed.", "This is a defect of the contract."),
    "ReentrancyGuardReentrantCall": (
        "The contract was called while it was at work.",
        "The token is not honest; use another.",
    ),
    "FailedCall": (
        "A call that the contract made failed.",
        "Check what the proposal calls, and with which arguments.",
    ),
}

PANICS: dict[int, str] = {
    0x01: "an assertion failed",
    0x11: "a number over- or underflowed",
    0x12: "a division by zero",
    0x21: "a number that is no member of its enumeration",
    0x22: "a malformed stored byte array",
    0x31: "pop on an empty array",
    0x32: "an index outside its array",
    0x41: "too much memory",
    0x51: "a call of an uninitialised function",
}
