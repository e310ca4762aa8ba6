// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Arithmetic on the 256 lanes of a chunk, several to a word
/// @notice A chunk is 32 words of eight little-endian int32. Two forms of it are computed with here:
///
/// - **sums**: bytes at even places in the first 32 words, bytes at odd places in the others, 16 bits each, so that 257
///   chunks can be added byte by byte before a field is full. Nothing is carried and no byte is turned until the end.
/// - **quads**: 64 words of four lanes each, 64 bits apart; quad 2j has the first, third, fifth and seventh lane of word
///   j, quad 2j + 1 the others. A lane is raised by 2^31, so that it is an unsigned number and order is kept: -2^31 is 0
///   and 2^31 - 1 is 2^32 - 1. The upper half of each field is room for products and for carries.
library Lanes {
    uint256 private constant BYTES = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant FIELD_16 = 0x000000000000ffff000000000000ffff000000000000ffff000000000000ffff;
    uint256 private constant FIELD_32 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant FIELD_48 = 0x0000ffffffffffff0000ffffffffffff0000ffffffffffff0000ffffffffffff;
    /// @dev One in each field.
    uint256 private constant ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    /// @dev The lane zero.
    uint256 internal constant ZERO = ONES << 31;
    uint256 private constant BIT_32 = ONES << 32;
    uint256 private constant BIT_63 = ONES << 63;
    uint256 internal constant QUADS = 64;

    /// @notice Adds a chunk of 1,024 bytes to `sums`.
    function add(uint256[64] memory sums, bytes calldata chunk) internal pure {
        assembly ("memory-safe") {
            let even := sums
            let source := chunk.offset
            for { let end := add(sums, 0x400) } lt(even, end) { even := add(even, 0x20) } {
                let word := calldataload(source)
                let odd := add(even, 0x400)
                mstore(even, add(mload(even), and(shr(8, word), BYTES)))
                mstore(odd, add(mload(odd), and(word, BYTES)))
                source := add(source, 0x20)
            }
        }
    }

    /// @notice Turns sums into quads, in place: lanes modulo 2^32, as int32.
    function settle(uint256[64] memory sums) internal pure {
        unchecked {
            // Backwards through the upper half and the lower: quads 2j and 2j + 1 would overwrite sums not yet read.
            uint256[64] memory quads;
            for (uint256 j; j < 32; ++j) {
                uint256 even = sums[j];
                uint256 odd = sums[j + 32];
                quads[2 * j] = _lane(even >> 48, odd >> 48, even >> 32, odd >> 32);
                quads[2 * j + 1] = _lane(even >> 16, odd >> 16, even, odd);
            }
            for (uint256 q; q < QUADS; ++q) {
                sums[q] = quads[q];
            }
        }
    }

    /// @notice The quad of the lanes that exist at `quad` of a chunk with `lanes` lanes: all bits set where one does.
    function existing(uint256 quad, uint256 lanes) internal pure returns (uint256 mask) {
        unchecked {
            uint256 before = (quad >> 1) * 8 + (quad & 1);
            if (lanes <= before) return 0;
            return ~(type(uint256).max >> 64 * ((lanes - before + 1) / 2));
        }
    }

    /// @notice floor(sum / n) of n quads.
    function mean(uint256[] memory quads) internal pure returns (uint256 result) {
        unchecked {
            uint256 n = quads.length;
            uint256 sum;
            for (uint256 i; i < n; ++i) {
                sum += quads[i];
            }
            // Each was raised by 2^31, and so is their mean.
            for (uint256 shift; shift < 256; shift += 64) {
                result |= (uint64(sum >> shift) / n) << shift;
            }
        }
    }

    /// @notice The median of n quads; of an even number the floor of the mean of the two in the middle. Sorts them.
    function median(uint256[] memory quads) internal pure returns (uint256) {
        unchecked {
            uint256 n = quads.length;
            for (uint256 end = n; end > 1; --end) {
                for (uint256 i = 1; i < end; ++i) {
                    uint256 a = quads[i - 1];
                    uint256 b = quads[i];
                    // Bit 32 of a field stays where a >= b; from it, 32 bits below.
                    uint256 larger = ((a | BIT_32) - b) & BIT_32;
                    uint256 swap = (a ^ b) & (larger - (larger >> 32));
                    quads[i - 1] = a ^ swap;
                    quads[i] = b ^ swap;
                }
            }
            uint256 upper = quads[n / 2];
            return n & 1 == 1 ? upper : ((quads[n / 2 - 1] + upper) >> 1) & FIELD_32;
        }
    }

    /// @notice saturate(state + ((serverStep * merged) >> 16)), floor.
    function next(uint256 state, uint256 merged, uint256 serverStep) internal pure returns (uint256) {
        unchecked {
            // A raised lane is below 2^32 and so is the step: no product leaves its field. What the raising added, 2^31
            // steps, is a whole number after the shift.
            uint256 moved = state + ((merged * serverStep >> 16) & FIELD_48);
            uint256 raised = ONES * (serverStep << 15);
            // Bit 63 stays where the difference is not below the least lane.
            uint256 difference = (moved | BIT_63) - raised;
            uint256 above = difference & BIT_63;
            uint256 lanes = difference & (above - (above >> 63));
            // It is set where a lane is above the greatest.
            uint256 beyond = (lanes + (BIT_63 - BIT_32)) & BIT_63;
            return (lanes | (beyond - (beyond >> 63))) & FIELD_32;
        }
    }

    /// @dev Four lanes from their four summed bytes, the lowest first, and raised.
    function _lane(uint256 b0, uint256 b1, uint256 b2, uint256 b3) private pure returns (uint256) {
        unchecked {
            return (
                (
                    (b0 & FIELD_16) + ((b1 & FIELD_16) << 8) + ((b2 & FIELD_16) << 16) + ((b3 & FIELD_16) << 24)
                ) & FIELD_32
            ) ^ ZERO;
        }
    }
}
