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

    /// @notice Counts every member of `set` once more, in 16 bits each, sixteen to a word: at most 65,535 times.
    function addEach(uint256[3] memory counts, uint48 set) internal pure {
        unchecked {
            for (uint256 i; i < 3; ++i) {
                uint256 spread = uint16(set >> (i << 4));
                // Each step moves the upper half of every group to where its own group begins.
                spread = (spread | spread << 120) & 0x000000000000000000000000000000ff000000000000000000000000000000ff;
                spread = (spread | spread << 60) & 0x000000000000000f000000000000000f000000000000000f000000000000000f;
                spread = (spread | spread << 30) & 0x0000000300000003000000030000000300000003000000030000000300000003;
                spread = (spread | spread << 15) & 0x0001000100010001000100010001000100010001000100010001000100010001;
                counts[i] += spread;
            }
        }
    }

    /// @notice How often `index` was counted.
    function countOf(uint256[3] memory counts, uint256 index) internal pure returns (uint64) {
        return uint16(counts[index >> 4] >> ((index & 15) << 4));
    }
}
