// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Bonds of hospitals
/// @notice Each hospital deposits; a job locks one bond of each hospital that enrols, for mergers and submitters alike,
/// and frees it when fraud can no longer be proved. Token and size are set by the DAO and hold for bonds locked later.
/// For every token: deposited = free + locked + owed to the DAO + paid out, to the last wei (invariant 1).
interface IBonds {
    /// @notice A bond in a job. `exists` while it is locked; its amount may be zero where the DAO asks for none.
    struct Bond {
        bool exists;
        address token;
        uint256 amount;
    }

    event BondSet(address indexed token, uint256 amount);
    event JobsSet(address indexed jobs, bool allowed);
    event Deposited(uint32 indexed hospitalId, address indexed token, address from, uint256 amount);
    event Withdrawn(uint32 indexed hospitalId, address indexed token, address to, uint256 amount);
    event Locked(
        address indexed jobs, uint32 indexed jobId, uint32 indexed hospitalId, address token, uint256 amount
    );
    event Unlocked(
        address indexed jobs, uint32 indexed jobId, uint32 indexed hospitalId, address token, uint256 amount
    );
    /// @notice `to` is the hospital that gets half; zero: the DAO gets all.
    event Slashed(
        address indexed jobs, uint32 indexed jobId, uint32 indexed hospitalId, address token, uint256 amount, uint32 to
    );
    event DaoPaid(address indexed token, address to, uint256 amount);

    /// @notice The hospital's free deposit is less than a bond.
    error BondTooSmall(uint32 hospitalId, address token, uint256 free, uint256 needed);
    /// @notice The hospital has no bond in the job.
    error NotLocked(uint32 jobId, uint32 hospitalId);
    /// @notice The bonds of the job are locked until then.
    error StillLocked(uint32 jobId, uint40 until);
    /// @notice Only a jobs contract that the DAO has allowed may lock and slash.
    error NotJobs(address caller);
    /// @notice Another amount was received than was sent: a token that takes a fee.
    error AmountMismatch(uint256 sent, uint256 received);
    /// @notice Nothing to deposit, to withdraw or to pay.
    error NothingToPay();

    /// @notice Sets what a bond is from now on; its amount fits in 88 bits. Only the timelock.
    function setBond(address token, uint256 amount) external;

    /// @notice Allows or stops a jobs contract. Only the timelock. Bonds that it locked can still be slashed and freed.
    function setJobs(address jobs, bool allowed) external;

    /// @notice Deposits `amount` of the bond token for a hospital, from the caller, who has approved it. Anyone.
    function deposit(uint32 hospitalId, uint256 amount) external;

    /// @notice Pays `amount` of the caller's hospital's free deposit to its registered payout address. Only an admin.
    function withdraw(address token, uint256 amount) external;

    /// @notice Locks a hospital's bond in a job of the calling contract; does nothing when it is locked.
    function lock(uint32 jobId, uint32 hospitalId) external;

    /// @notice Slashes a hospital's bond in a job of the calling contract: half to `to`, half to the DAO, the odd wei to
    /// the DAO; all to the DAO when `to` is zero. Does nothing when no bond is locked.
    function slash(uint32 jobId, uint32 hospitalId, uint32 to) external;

    /// @notice Frees a hospital's bond in a job whose window is over. Anyone.
    function unlock(address jobs, uint32 jobId, uint32 hospitalId) external;

    /// @notice Pays the DAO what was slashed in its favour. Anyone.
    function payDao(address token) external;

    /// @notice What a bond is: token and amount.
    function bond() external view returns (address token, uint256 amount);

    /// @notice A hospital's bond in a job.
    function bondOf(address jobs, uint32 jobId, uint32 hospitalId) external view returns (Bond memory);

    /// @notice What a hospital may withdraw or lock.
    function freeOf(uint32 hospitalId, address token) external view returns (uint256);

    /// @notice What the DAO is owed in a token.
    function daoOwed(address token) external view returns (uint256);

    /// @notice What this contract owes in a token: free, locked and the DAO's.
    function heldOf(address token) external view returns (uint256);
}
