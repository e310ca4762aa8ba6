// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Escrow and shares of rewards
/// @notice Money comes in once a job, and leaves only by pull. For every job and token: paid out + still held = paid
/// in, to the last wei (invariant 1).
interface IRewardPool {
    /// @notice Shares in basis points; they sum to 10,000.
    /// Hospitals, caregivers and patients are shared by contribution; merger by merges; dao goes to the timelock.
    struct Split {
        uint16 hospitalsBps;
        uint16 caregiversBps;
        uint16 patientsBps;
        uint16 mergerBps;
        uint16 daoBps;
    }

    /// @notice A job's reward. `settled` once its shares are credited.
    struct Escrow {
        address token;
        address researcher;
        bool settled;
        uint256 amount;
        Split split;
    }

    /// @notice What one hospital did in the final rounds of a job.
    /// @param units training records x rounds taken part.
    /// @param merges rounds that it merged.
    struct Contribution {
        uint32 hospitalId;
        uint64 units;
        uint32 merges;
    }

    /// @notice What a hospital may claim, by fund.
    struct HospitalCredit {
        uint256 payout;
        uint256 caregivers;
        uint256 patients;
    }

    event TokenAllowed(address indexed token, bool allowed);
    event SplitFloorSet(Split floor);
    event JobsSet(address indexed jobs, bool allowed);
    event Escrowed(uint32 indexed jobId, address indexed token, address indexed researcher, uint256 amount, Split split);
    event HospitalCredited(
        uint32 indexed jobId, uint32 indexed hospitalId, uint256 payout, uint256 caregivers, uint256 patients
    );
    event AccountCredited(uint32 indexed jobId, address indexed account, uint256 amount);
    event Settled(uint32 indexed jobId, uint256 earned, uint256 refunded);
    event HospitalPaid(uint32 indexed hospitalId, address indexed token, address indexed to, uint256 amount);
    event AccountPaid(address indexed account, address indexed token, uint256 amount);

    /// @notice The DAO does not allow this token.
    error TokenNotAllowed(address token);
    /// @notice The split sums to something other than 10,000.
    error SplitSum(uint256 sum);
    /// @notice A share is below the floor that the DAO has set.
    error SplitBelowFloor();
    /// @notice The pool received another amount than was sent: a token that takes a fee.
    error AmountMismatch(uint256 sent, uint256 received);
    /// @notice Only a jobs contract that the DAO has allowed may move escrow.
    error NotJobs(address caller);
    /// @notice The job's reward was escrowed already.
    error AlreadyEscrowed(uint32 jobId);
    /// @notice The job has no escrow, or it was settled already.
    error NotHeld(uint32 jobId);
    /// @notice There is nothing to claim.
    error NothingToClaim();
    /// @notice A reward of zero.
    error NoReward();

    /// @notice Takes a job's reward from the researcher, who has approved it. Only an allowed jobs contract.
    function escrow(uint32 jobId, address researcher, address token, uint256 amount, Split calldata split) external;

    /// @notice Credits the shares of `finalRounds` out of `rounds`, and the rest to the researcher. Only an allowed jobs
    /// contract. Every remainder of a division goes to the DAO.
    function settle(uint32 jobId, uint32 finalRounds, uint32 rounds, Contribution[] calldata contributions) external;

    /// @notice Pays the caller's hospital its three shares of `token`, to the addresses now registered. Only an admin.
    function claimHospital(address token) external returns (HospitalCredit memory paid);

    /// @notice Pays `account` what it is owed: a researcher's refund, the DAO's share. Anyone may call it.
    function claim(address account, address token) external returns (uint256 paid);

    /// @notice Puts a token on the list of rewards, or takes it off. Only the timelock.
    function allowToken(address token, bool allowed) external;

    /// @notice Sets the least that each share of a new job must be. Only the timelock. Jobs proposed before keep theirs.
    function setSplitFloor(Split calldata floor) external;

    /// @notice Allows or stops a jobs contract. Only the timelock.
    function setJobs(address jobs, bool allowed) external;

    /// @notice A job's escrow; zero when it has none.
    function escrowOf(uint32 jobId) external view returns (Escrow memory);

    /// @notice What a hospital may claim in a token.
    function hospitalCreditOf(uint32 hospitalId, address token) external view returns (HospitalCredit memory);

    /// @notice What an account may claim in a token.
    function creditOf(address account, address token) external view returns (uint256);

    /// @notice What the pool owes in a token, escrow and credits together: no more than its balance, unless the token
    /// itself takes from holders or charges senders more than they send.
    function heldOf(address token) external view returns (uint256);

    /// @notice The least that each share of a new job must be.
    function splitFloor() external view returns (Split memory);

    /// @notice Whether rewards may be paid in a token.
    function isAllowed(address token) external view returns (bool);
}
