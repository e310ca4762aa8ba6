// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Members of the network and the accounts that act for them
/// @notice A hospital is an id. Its accounts are replaceable; authority follows the id, never an account or a token.
/// Ids start at 1 and are never reused; an account serves one hospital in one role, once.
interface IHospitalRegistry {
    /// @notice What an account is to a hospital.
    /// Admin: cold; consent and money. Operator: hot; datasets and training. Retired: was one of them, never again.
    enum Role {
        None,
        Admin,
        Operator,
        Retired
    }

    /// @notice Where a hospital's three shares of a reward are paid.
    struct Funds {
        address payout;
        address caregivers;
        address patients;
    }

    /// @notice A member. `suspended` hospitals keep their history and their money, and train no more.
    struct Hospital {
        address admin;
        bool suspended;
        address operator;
        Funds funds;
    }

    event HospitalAdmitted(
        uint32 indexed hospitalId, string name, address admin, address operator, Funds funds
    );
    event HospitalSuspended(uint32 indexed hospitalId);
    event HospitalReinstated(uint32 indexed hospitalId);
    event OperatorRotated(uint32 indexed hospitalId, address previous, address current);
    event AdminReplaced(uint32 indexed hospitalId, address previous, address current);
    event FundsChanged(uint32 indexed hospitalId, Funds funds);

    /// @notice No hospital has this id.
    error UnknownHospital(uint32 hospitalId);
    /// @notice The account already acts, or once acted, for a hospital.
    error AccountTaken(address account, uint32 hospitalId);
    /// @notice The account is not the operator of any hospital.
    error NotOperator(address account);
    /// @notice The account is not the admin of any hospital.
    error NotAdmin(address account);
    /// @notice The hospital is suspended by the DAO.
    error Suspended(uint32 hospitalId);
    /// @notice The hospital is not suspended.
    error NotSuspended(uint32 hospitalId);
    /// @notice An address that must be set is zero.
    error ZeroAddress();
    /// @notice A hospital's name is 1 to 64 bytes.
    error BadName();

    /// @notice Admits a hospital. Only the timelock.
    function admit(string calldata name, address admin, address operator, Funds calldata funds)
        external
        returns (uint32 hospitalId);

    /// @notice Stops a hospital from enrolling, submitting, merging and minting. Only the timelock.
    function suspend(uint32 hospitalId) external;

    /// @notice Lifts a suspension. Only the timelock.
    function reinstate(uint32 hospitalId) external;

    /// @notice Gives a hospital whose admin key is lost or stolen a new admin. Only the timelock.
    function replaceAdmin(uint32 hospitalId, address admin) external;

    /// @notice Replaces the caller's hospital's operator account. Only a hospital's admin.
    function rotateOperator(address operator) external;

    /// @notice Changes where the caller's hospital is paid. Only a hospital's admin.
    function setFunds(Funds calldata funds) external;

    /// @notice The hospital and role of an account; (0, None) when it has none.
    function roleOf(address account) external view returns (uint32 hospitalId, Role role);

    /// @notice The hospital that `account` operates. Reverts with `NotOperator` or `Suspended`.
    function requireOperator(address account) external view returns (uint32 hospitalId);

    /// @notice The hospital that `account` administers, suspended or not. Reverts with `NotAdmin`.
    function requireAdmin(address account) external view returns (uint32 hospitalId);

    /// @notice A hospital's record. Reverts with `UnknownHospital`.
    function hospital(uint32 hospitalId) external view returns (Hospital memory);

    /// @notice How many hospitals were ever admitted: ids run from 1 to this.
    function hospitalCount() external view returns (uint32);
}
