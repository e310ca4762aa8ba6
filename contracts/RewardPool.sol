// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {IRewardPool} from "./interfaces/IRewardPool.sol";
import {Shares} from "./libraries/Shares.sol";

/// @title RewardPool
/// @notice See `IRewardPool`. `_held` grows when money came in and falls when it goes out: escrow and credits together
/// always sum to it, whatever a token does.
contract RewardPool is IRewardPool, Ownable, ReentrancyGuard {
    using SafeERC20 for IERC20;
    using Shares for Split;
    using Shares for Shares.Pots;

    IHospitalRegistry public immutable hospitals;

    mapping(address token => bool) public isAllowed;
    mapping(address jobs => bool) public isJobs;
    mapping(uint32 jobId => Escrow) private _escrows;
    mapping(uint32 hospitalId => mapping(address token => HospitalCredit)) private _hospitalCredits;
    mapping(address account => mapping(address token => uint256)) private _credits;
    mapping(address token => uint256) private _held;
    Split private _floor;

    modifier onlyJobs() {
        if (!isJobs[msg.sender]) revert NotJobs(msg.sender);
        _;
    }

    constructor(address timelock, IHospitalRegistry hospitalRegistry) Ownable(timelock) {
        hospitals = hospitalRegistry;
    }

    /// @inheritdoc IRewardPool
    function escrow(uint32 jobId, address researcher, address token, uint256 amount, Split calldata split)
        external
        onlyJobs
        nonReentrant
    {
        if (!isAllowed[token]) revert TokenNotAllowed(token);
        if (amount == 0) revert NoReward();
        uint256 sum = split.sum();
        if (sum != Shares.WHOLE_BPS) revert SplitSum(sum);
        if (!split.covers(_floor)) revert SplitBelowFloor();
        if (_escrows[jobId].amount != 0) revert AlreadyEscrowed(jobId);

        _escrows[jobId] = Escrow({token: token, researcher: researcher, settled: false, amount: amount, split: split});
        _held[token] += amount;
        emit Escrowed(jobId, token, researcher, amount, split);

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(researcher, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert AmountMismatch(amount, received);
    }

    /// @inheritdoc IRewardPool
    function settle(uint32 jobId, uint32 finalRounds, uint32 rounds, Contribution[] calldata contributions)
        external
        onlyJobs
        nonReentrant
    {
        Escrow memory held = _escrows[jobId];
        if (held.amount == 0 || held.settled) revert NotHeld(jobId);
        _escrows[jobId].settled = true;

        uint256 totalUnits;
        for (uint256 i; i < contributions.length; ++i) {
            totalUnits += contributions[i].units;
        }
        // Without a contribution there is nobody to share with, and nothing was earned.
        uint256 earned = totalUnits == 0 ? 0 : Shares.earned(held.amount, finalRounds, rounds);
        uint256 credited;
        if (earned != 0) {
            Shares.Pots memory pots = Shares.pots(earned, held.split);
            for (uint256 i; i < contributions.length; ++i) {
                HospitalCredit memory share = pots.part(contributions[i], totalUnits, finalRounds);
                credited += _creditHospital(jobId, contributions[i].hospitalId, held.token, share);
            }
        }
        // Reverts when contributions claim more merges than rounds: no share may exceed what was earned.
        _credit(jobId, owner(), held.token, earned - credited);
        _credit(jobId, held.researcher, held.token, held.amount - earned);
        emit Settled(jobId, earned, held.amount - earned);
    }

    /// @inheritdoc IRewardPool
    function claimHospital(address token) external nonReentrant returns (HospitalCredit memory paid) {
        uint32 hospitalId = hospitals.requireAdmin(msg.sender);
        paid = _hospitalCredits[hospitalId][token];
        uint256 total = paid.payout + paid.caregivers + paid.patients;
        if (total == 0) revert NothingToClaim();
        IHospitalRegistry.Funds memory funds = hospitals.hospital(hospitalId).funds;

        delete _hospitalCredits[hospitalId][token];
        _held[token] -= total;

        _payHospital(hospitalId, token, funds.payout, paid.payout);
        _payHospital(hospitalId, token, funds.caregivers, paid.caregivers);
        _payHospital(hospitalId, token, funds.patients, paid.patients);
    }

    /// @inheritdoc IRewardPool
    function claim(address account, address token) external nonReentrant returns (uint256 paid) {
        paid = _credits[account][token];
        if (paid == 0) revert NothingToClaim();

        delete _credits[account][token];
        _held[token] -= paid;
        emit AccountPaid(account, token, paid);

        IERC20(token).safeTransfer(account, paid);
    }

    /// @inheritdoc IRewardPool
    function allowToken(address token, bool allowed) external onlyOwner {
        isAllowed[token] = allowed;
        emit TokenAllowed(token, allowed);
    }

    /// @inheritdoc IRewardPool
    function setSplitFloor(Split calldata floor) external onlyOwner {
        uint256 sum = floor.sum();
        if (sum > Shares.WHOLE_BPS) revert SplitSum(sum);
        _floor = floor;
        emit SplitFloorSet(floor);
    }

    /// @inheritdoc IRewardPool
    function setJobs(address jobs, bool allowed) external onlyOwner {
        isJobs[jobs] = allowed;
        emit JobsSet(jobs, allowed);
    }

    /// @inheritdoc IRewardPool
    function escrowOf(uint32 jobId) external view returns (Escrow memory) {
        return _escrows[jobId];
    }

    /// @inheritdoc IRewardPool
    function hospitalCreditOf(uint32 hospitalId, address token) external view returns (HospitalCredit memory) {
        return _hospitalCredits[hospitalId][token];
    }

    /// @inheritdoc IRewardPool
    function creditOf(address account, address token) external view returns (uint256) {
        return _credits[account][token];
    }

    /// @inheritdoc IRewardPool
    function heldOf(address token) external view returns (uint256) {
        return _held[token];
    }

    /// @inheritdoc IRewardPool
    function splitFloor() external view returns (Split memory) {
        return _floor;
    }

    function _creditHospital(uint32 jobId, uint32 hospitalId, address token, HospitalCredit memory share)
        private
        returns (uint256 total)
    {
        total = share.payout + share.caregivers + share.patients;
        if (total == 0) return 0;
        HospitalCredit storage credit = _hospitalCredits[hospitalId][token];
        credit.payout += share.payout;
        credit.caregivers += share.caregivers;
        credit.patients += share.patients;
        emit HospitalCredited(jobId, hospitalId, share.payout, share.caregivers, share.patients);
    }

    function _credit(uint32 jobId, address account, address token, uint256 amount) private {
        if (amount == 0) return;
        _credits[account][token] += amount;
        emit AccountCredited(jobId, account, amount);
    }

    function _payHospital(uint32 hospitalId, address token, address to, uint256 amount) private {
        if (amount == 0) return;
        emit HospitalPaid(hospitalId, token, to, amount);
        IERC20(token).safeTransfer(to, amount);
    }
}
