// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Bits} from "./Bits.sol";

/// @title Groups of a round's participants
/// @notice A label of four bits for each hospital, at four times its index.
library Groups {
    using Bits for uint48;

    uint256 internal constant SMALLEST = 3;
    uint256 internal constant MOST = 16;

    /// @notice Draws `members` into at most `most` groups of at least three, as equal as can be: a Fisher-Yates shuffle
    /// of the members in the order of their bits, of which the k-th then gets the label k modulo the number of groups.
    function draw(bytes32 seed, uint48 members, uint256 most) internal pure returns (uint192 labels) {
        uint256 n = members.count();
        uint256 groups = n / SMALLEST < most ? n / SMALLEST : most;
        if (groups < 2) return 0;
        uint8[] memory shuffled = new uint8[](n);
        unchecked {
            uint256 filled;
            for (uint8 index; filled < n; ++index) {
                if (members & Bits.only(index) != 0) shuffled[filled++] = index;
            }
            for (uint256 i = n - 1; i != 0; --i) {
                uint256 j = uint256(sha256(abi.encode(seed, i))) % (i + 1);
                (shuffled[i], shuffled[j]) = (shuffled[j], shuffled[i]);
            }
            for (uint256 k; k < n; ++k) {
                labels |= uint192(k % groups) << (uint192(shuffled[k]) << 2);
            }
        }
    }

    /// @notice Those of `members` whose group still has three.
    function large(uint48 members, uint192 labels) internal pure returns (uint48 kept) {
        uint48[MOST] memory groups;
        unchecked {
            for (uint256 index; index < MOST * SMALLEST; ++index) {
                groups[labelOf(labels, index)] |= members & Bits.only(index);
            }
            for (uint256 label; label < MOST; ++label) {
                if (groups[label].count() >= SMALLEST) kept |= groups[label];
            }
        }
    }

    /// @notice The label of the hospital at `index`.
    function labelOf(uint192 labels, uint256 index) internal pure returns (uint256) {
        return (labels >> (index << 2)) & 15;
    }
}
