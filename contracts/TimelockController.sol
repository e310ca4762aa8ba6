// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {TimelockController as OpenZeppelinTimelock} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title The DAO's hands
/// @notice Owns every administrative right after deployment; does what the governor's votes decided, after a delay.
/// OpenZeppelin's contract as it is, in a file of ours so that it is compiled with the rest.
contract TimelockController is OpenZeppelinTimelock {
    constructor(uint256 minDelay, address[] memory proposers, address[] memory executors, address admin)
        OpenZeppelinTimelock(minDelay, proposers, executors, admin)
    {}
}
