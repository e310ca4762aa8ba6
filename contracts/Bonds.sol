// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IBonds} from "./interfaces/IBonds.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {ITrainingJobs} from "./interfaces/ITrainingJobs.sol";

/// @title Bonds
/// @notice See `IBonds`. `_held` grows when money came in and falls when it goes out; all else moves between accounts.
contract Bonds is IBonds, Ownable, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @dev `Bond` in one slot, since whoever enrols pays for it.
    struct StoredBond {
        bool exists;
        address token;
        uint88 amount;
    }

    IHospitalRegistry public immutable hospitals;

    mapping(address jobs => bool) public isJobs;
    StoredBond private _asked;
    mapping(uint32 hospitalId => mapping(address token => uint256)) private _free;
    mapping(address jobs => mapping(uint256 jobAndHospital => StoredBond)) private _bonds;
    mapping(address token => uint256) private _owedToDao;
    mapping(address token => uint256) private _held;

    constructor(address timelock, IHospitalRegistry hospitalRegistry) Ownable(timelock) {
        hospitals = hospitalRegistry;
    }

    /// @inheritdoc IBonds
    function setBond(address token, uint256 amount) external onlyOwner {
        _asked = StoredBond({exists: true, token: token, amount: SafeCast.toUint88(amount)});
        emit BondSet(token, amount);
    }

    /// @inheritdoc IBonds
    function setJobs(address jobs, bool allowed) external onlyOwner {
        isJobs[jobs] = allowed;
        emit JobsSet(jobs, allowed);
    }

    /// @inheritdoc IBonds
    function deposit(uint32 hospitalId, uint256 amount) external nonReentrant {
        address token = _asked.token;
        // Without a token the DAO asks for no bond.
        if (amount == 0 || token == address(0)) revert NothingToPay();
        // Reverts when there is no such hospital.
        hospitals.hospital(hospitalId);

        _free[hospitalId][token] += amount;
        _held[token] += amount;
        emit Deposited(hospitalId, token, msg.sender, amount);

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert AmountMismatch(amount, received);
    }

    /// @inheritdoc IBonds
    function withdraw(address token, uint256 amount) external nonReentrant {
        uint32 hospitalId = hospitals.requireAdmin(msg.sender);
        uint256 free = _free[hospitalId][token];
        if (amount == 0 || free < amount) revert NothingToPay();
        address to = hospitals.hospital(hospitalId).funds.payout;

        _free[hospitalId][token] = free - amount;
        _held[token] -= amount;
        emit Withdrawn(hospitalId, token, to, amount);

        IERC20(token).safeTransfer(to, amount);
    }

    /// @inheritdoc IBonds
    function lock(uint32 jobId, uint32 hospitalId) external {
        if (!isJobs[msg.sender]) revert NotJobs(msg.sender);
        uint256 key = _key(jobId, hospitalId);
        if (_bonds[msg.sender][key].exists) return;
        StoredBond memory asked = _asked;
        asked.exists = true;
        uint256 free = _free[hospitalId][asked.token];
        if (free < asked.amount) revert BondTooSmall(hospitalId, asked.token, free, asked.amount);

        _free[hospitalId][asked.token] = free - asked.amount;
        _bonds[msg.sender][key] = asked;
        emit Locked(msg.sender, jobId, hospitalId, asked.token, asked.amount);
    }

    /// @inheritdoc IBonds
    function slash(uint32 jobId, uint32 hospitalId, uint32 to) external {
        // No need to ask whether the caller is a jobs contract: it reaches only bonds that it locked itself.
        StoredBond memory bond_ = _bonds[msg.sender][_key(jobId, hospitalId)];
        if (!bond_.exists) return;

        delete _bonds[msg.sender][_key(jobId, hospitalId)];
        uint256 half = to == 0 ? 0 : bond_.amount / 2;
        if (half != 0) _free[to][bond_.token] += half;
        _owedToDao[bond_.token] += bond_.amount - half;
        emit Slashed(msg.sender, jobId, hospitalId, bond_.token, bond_.amount, to);
    }

    /// @inheritdoc IBonds
    function unlock(address jobs, uint32 jobId, uint32 hospitalId) external {
        StoredBond memory bond_ = _bonds[jobs][_key(jobId, hospitalId)];
        if (!bond_.exists) revert NotLocked(jobId, hospitalId);
        uint40 until = ITrainingJobs(jobs).bondsFreeAt(jobId);
        if (block.timestamp < until) revert StillLocked(jobId, until);

        delete _bonds[jobs][_key(jobId, hospitalId)];
        _free[hospitalId][bond_.token] += bond_.amount;
        emit Unlocked(jobs, jobId, hospitalId, bond_.token, bond_.amount);
    }

    /// @inheritdoc IBonds
    function payDao(address token) external nonReentrant {
        uint256 owed = _owedToDao[token];
        if (owed == 0) revert NothingToPay();

        delete _owedToDao[token];
        _held[token] -= owed;
        emit DaoPaid(token, owner(), owed);

        IERC20(token).safeTransfer(owner(), owed);
    }

    /// @inheritdoc IBonds
    function bond() external view returns (address token, uint256 amount) {
        return (_asked.token, _asked.amount);
    }

    /// @inheritdoc IBonds
    function bondOf(address jobs, uint32 jobId, uint32 hospitalId) external view returns (Bond memory) {
        StoredBond memory found = _bonds[jobs][_key(jobId, hospitalId)];
        return Bond({exists: found.exists, token: found.token, amount: found.amount});
    }

    /// @inheritdoc IBonds
    function freeOf(uint32 hospitalId, address token) external view returns (uint256) {
        return _free[hospitalId][token];
    }

    /// @inheritdoc IBonds
    function daoOwed(address token) external view returns (uint256) {
        return _owedToDao[token];
    }

    /// @inheritdoc IBonds
    function heldOf(address token) external view returns (uint256) {
        return _held[token];
    }

    function _key(uint32 jobId, uint32 hospitalId) private pure returns (uint256) {
        return uint256(jobId) << 32 | hospitalId;
    }
}
