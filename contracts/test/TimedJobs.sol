// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBonds} from "../interfaces/IBonds.sol";

/// @title The jobs contract as far as bonds ask it
/// @notice It locks and slashes what it is told to, and its bonds are free when the test says so.
contract TimedJobs {
    IBonds public immutable bonds;
    uint40 private _freeAt = type(uint40).max;

    constructor(IBonds bonds_) {
        bonds = bonds_;
    }

    function lock(uint32 jobId, uint32 hospitalId) external {
        bonds.lock(jobId, hospitalId);
    }

    function slash(uint32 jobId, uint32 hospitalId, uint32 to) external {
        bonds.slash(jobId, hospitalId, to);
    }

    /// @notice From then on the bonds of every job are free.
    function freeFrom(uint40 time) external {
        _freeAt = time;
    }

    function bondsFreeAt(uint32) external view returns (uint40) {
        return _freeAt;
    }
}
