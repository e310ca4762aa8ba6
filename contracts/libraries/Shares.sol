// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IRewardPool} from "../interfaces/IRewardPool.sol";

/// @title How an earned reward is cut
/// @notice Every division rounds down; whoever calls gives what is left over to the DAO. Products may pass 256 bits.
library Shares {
    uint256 internal constant WHOLE_BPS = 10_000;

    /// @notice The amounts that hospitals share.
    struct Pots {
        uint256 hospitals;
        uint256 caregivers;
        uint256 patients;
        uint256 mergers;
    }

    /// @notice Basis points of all five shares together.
    function sum(IRewardPool.Split memory split) internal pure returns (uint256) {
        return uint256(split.hospitalsBps) + split.caregiversBps + split.patientsBps + split.mergerBps + split.daoBps;
    }

    /// @notice Whether no share is below its floor.
    function covers(IRewardPool.Split memory split, IRewardPool.Split memory floor) internal pure returns (bool) {
        return split.hospitalsBps >= floor.hospitalsBps && split.caregiversBps >= floor.caregiversBps
            && split.patientsBps >= floor.patientsBps && split.mergerBps >= floor.mergerBps
            && split.daoBps >= floor.daoBps;
    }

    /// @notice The part of `amount` that `rounds` of `outOf` earned.
    function earned(uint256 amount, uint256 rounds, uint256 outOf) internal pure returns (uint256) {
        return Math.mulDiv(amount, rounds, outOf);
    }

    /// @notice Cuts what was earned into pots.
    function pots(uint256 amount, IRewardPool.Split memory split) internal pure returns (Pots memory) {
        return Pots({
            hospitals: Math.mulDiv(amount, split.hospitalsBps, WHOLE_BPS),
            caregivers: Math.mulDiv(amount, split.caregiversBps, WHOLE_BPS),
            patients: Math.mulDiv(amount, split.patientsBps, WHOLE_BPS),
            mergers: Math.mulDiv(amount, split.mergerBps, WHOLE_BPS)
        });
    }

    /// @notice One hospital's part of the pots: by units of `totalUnits`, and by merges of `rounds`.
    function part(Pots memory all, IRewardPool.Contribution calldata done, uint256 totalUnits, uint256 rounds)
        internal
        pure
        returns (IRewardPool.HospitalCredit memory)
    {
        return IRewardPool.HospitalCredit({
            payout: Math.mulDiv(all.hospitals, done.units, totalUnits) + Math.mulDiv(all.mergers, done.merges, rounds),
            caregivers: Math.mulDiv(all.caregivers, done.units, totalUnits),
            patients: Math.mulDiv(all.patients, done.units, totalUnits)
        });
    }
}
