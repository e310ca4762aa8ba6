// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Bits} from "./Bits.sol";

/// @title Who merges when
/// @notice Submitters in the order of their bits stand in a ring. A round starts one place further than the round
/// before it, and one more for each of its merges that was voided. Whoever is in line stays entitled when the turn
/// passes on.
library Turns {
    /// @notice Unix seconds from which `member`, one of `submitted`, may merge.
    /// @param start when the first in line may merge.
    /// @param shift round + voids.
    /// @param length seconds of a turn.
    function opensAt(uint48 submitted, uint48 member, uint256 start, uint256 shift, uint256 length)
        internal
        pure
        returns (uint256)
    {
        unchecked {
            uint256 size = Bits.count(submitted);
            uint256 place = (Bits.rank(submitted, member) + size - (shift % size)) % size;
            return start + place * length;
        }
    }
}
