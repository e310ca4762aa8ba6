// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Sets of at most 48 hospitals as bits
library Bits {
    /// @notice How many bits are set. Sums neighbours in parallel (Hacker's Delight, figure 5-2).
    function count(uint48 set) internal pure returns (uint256 n) {
        unchecked {
            n = set;
            n -= (n >> 1) & 0x555555555555;
            n = (n & 0x333333333333) + ((n >> 2) & 0x333333333333);
            n = (n + (n >> 4)) & 0x0f0f0f0f0f0f;
            n = ((n * 0x010101010101) >> 40) & 0xff;
        }
    }

    /// @notice The set that holds `index` alone.
    function only(uint256 index) internal pure returns (uint48) {
        return uint48(1 << index);
    }

    /// @notice How many members of `set` come before `member`, a set of one.
    function rank(uint48 set, uint48 member) internal pure returns (uint256) {
        unchecked {
            return count(set & (member - 1));
        }
    }

    /// @notice Two thirds of `n`, rounded up.
    function twoThirds(uint256 n) internal pure returns (uint256) {
        unchecked {
            return (2 * n + 2) / 3;
        }
    }
}
