// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Bits} from "./Bits.sol";

/// @title Who merges when
library Turns {
    /// @notice How many are in line before `member`, one of `submitted`: a ring in the order of their bits.
    /// @param shift where the ring starts: round + voids. So each round starts one place further than the round before
    /// it, and one more for each of its merges that was voided.
    function place(uint48 submitted, uint48 member, uint256 shift) internal pure returns (uint256) {
        unchecked {
            uint256 size = Bits.count(submitted);
            return (Bits.rank(submitted, member) + size - shift % size) % size;
        }
    }
}
