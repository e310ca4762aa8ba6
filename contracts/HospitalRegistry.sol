// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";

/// @title Members of the network and the accounts that act for them
/// @notice The owner is the DAO's timelock.
contract HospitalRegistry is IHospitalRegistry, Ownable {
    /// @dev What an account is. `suspended` is kept with the operator alone, so that `requireOperator`, which every
    /// update pays for, reads one slot.
    struct Account {
        uint32 hospitalId;
        Role role;
        bool suspended;
    }

    struct Record {
        address admin;
        address operator;
        Funds funds;
    }

    uint256 private constant MAX_NAME_BYTES = 64;

    /// @inheritdoc IHospitalRegistry
    uint32 public override hospitalCount;
    mapping(uint32 hospitalId => Record) private _records;
    mapping(address account => Account) private _accounts;

    constructor(address owner) Ownable(owner) {}

    /// @inheritdoc IHospitalRegistry
    function admit(string calldata name, address admin, address operator, Funds calldata funds)
        external
        override
        onlyOwner
        returns (uint32 hospitalId)
    {
        if (bytes(name).length == 0 || bytes(name).length > MAX_NAME_BYTES) revert BadName();
        _requireFunds(funds);

        hospitalId = ++hospitalCount;
        _take(admin, hospitalId, Role.Admin);
        _take(operator, hospitalId, Role.Operator);
        _records[hospitalId] = Record(admin, operator, funds);

        emit HospitalAdmitted(hospitalId, name, admin, operator, funds);
    }

    /// @inheritdoc IHospitalRegistry
    function suspend(uint32 hospitalId) external override onlyOwner {
        Account storage operator = _accounts[_record(hospitalId).operator];
        if (operator.suspended) revert Suspended(hospitalId);

        operator.suspended = true;

        emit HospitalSuspended(hospitalId);
    }

    /// @inheritdoc IHospitalRegistry
    function reinstate(uint32 hospitalId) external override onlyOwner {
        Account storage operator = _accounts[_record(hospitalId).operator];
        if (!operator.suspended) revert NotSuspended(hospitalId);

        operator.suspended = false;

        emit HospitalReinstated(hospitalId);
    }

    /// @inheritdoc IHospitalRegistry
    function replaceAdmin(uint32 hospitalId, address admin) external override onlyOwner {
        Record storage record = _record(hospitalId);
        address previous = record.admin;

        _take(admin, hospitalId, Role.Admin);
        _accounts[previous].role = Role.Retired;
        record.admin = admin;

        emit AdminReplaced(hospitalId, previous, admin);
    }

    /// @inheritdoc IHospitalRegistry
    /// @dev Also while suspended: a stolen key must never have to wait for a vote.
    function rotateOperator(address operator) external override {
        uint32 hospitalId = requireAdmin(msg.sender);
        Record storage record = _records[hospitalId];
        address previous = record.operator;

        _take(operator, hospitalId, Role.Operator);
        _accounts[operator].suspended = _accounts[previous].suspended;
        _accounts[previous] = Account(hospitalId, Role.Retired, false);
        record.operator = operator;

        emit OperatorRotated(hospitalId, previous, operator);
    }

    /// @inheritdoc IHospitalRegistry
    function setFunds(Funds calldata funds) external override {
        uint32 hospitalId = requireAdmin(msg.sender);
        _requireFunds(funds);

        _records[hospitalId].funds = funds;

        emit FundsChanged(hospitalId, funds);
    }

    /// @inheritdoc IHospitalRegistry
    function roleOf(address account) external view override returns (uint32 hospitalId, Role role) {
        Account memory found = _accounts[account];
        return (found.hospitalId, found.role);
    }

    /// @inheritdoc IHospitalRegistry
    function requireOperator(address account) external view override returns (uint32 hospitalId) {
        Account memory found = _accounts[account];
        if (found.role != Role.Operator) revert NotOperator(account);
        if (found.suspended) revert Suspended(found.hospitalId);
        return found.hospitalId;
    }

    /// @inheritdoc IHospitalRegistry
    function requireAdmin(address account) public view override returns (uint32 hospitalId) {
        Account memory found = _accounts[account];
        if (found.role != Role.Admin) revert NotAdmin(account);
        return found.hospitalId;
    }

    /// @inheritdoc IHospitalRegistry
    function hospital(uint32 hospitalId) external view override returns (Hospital memory) {
        Record storage record = _record(hospitalId);
        return Hospital(record.admin, _accounts[record.operator].suspended, record.operator, record.funds);
    }

    function _take(address account, uint32 hospitalId, Role role) private {
        if (account == address(0)) revert ZeroAddress();
        Account storage found = _accounts[account];
        if (found.role != Role.None) revert AccountTaken(account, found.hospitalId);
        found.hospitalId = hospitalId;
        found.role = role;
    }

    function _record(uint32 hospitalId) private view returns (Record storage record) {
        record = _records[hospitalId];
        if (record.admin == address(0)) revert UnknownHospital(hospitalId);
    }

    function _requireFunds(Funds calldata funds) private pure {
        if (funds.payout == address(0) || funds.caregivers == address(0) || funds.patients == address(0)) {
            revert ZeroAddress();
        }
    }
}
