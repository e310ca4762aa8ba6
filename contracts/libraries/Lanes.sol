// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Arithmetic on the 256 lanes of a chunk, several to a word
/// @notice A chunk comes as 32 words of eight little-endian int32. What groups sum up to is computed with as 64 **quads**:
/// quad 2j has the first, third, fifth and seventh lane of word j, quad 2j + 1 the others, 64 bits apart. A lane is raised
/// by 2^31, which keeps the order and makes it unsigned: -2^31 is 0, and 2^31 - 1 is 2^32 - 1. The upper half of each field
/// is room for carries and products, so that one operation of the machine does for four lanes.
///
/// Chunks are named by where their bytes begin in the calldata. Nothing here checks that they are there: `Chunks` has.
library Lanes {
    uint256 private constant QUADS = 64;
    uint256 private constant WORD = 32;
    uint256 private constant PAIR = 2 * WORD;
    uint256 private constant CHUNK = 32 * WORD;
    /// @dev The lower half of each field of 16, 32 and 64 bits.
    uint256 private constant LOWER_8 = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant LOWER_16 = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
    uint256 private constant LOWER_32 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant LOWER_48 = 0x0000ffffffffffff0000ffffffffffff0000ffffffffffff0000ffffffffffff;
    /// @dev One in each field of 64 bits.
    uint256 private constant ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    /// @dev What raises the eight lanes of a word and takes them back: before their bytes are turned, and after.
    uint256 private constant RAISED = ONES << 31 | ONES << 63;
    uint256 private constant RAISED_UNTURNED = ONES << 7 | ONES << 39;
    uint256 private constant BIT_32 = ONES << 32;
    uint256 private constant BIT_50 = ONES << 50;

    /// @notice floor(sum / n) over n groups, each the sum of at most 257 chunks modulo 2^32 as int32.
    function mean(uint256[][] memory groups) internal pure returns (uint256[QUADS] memory quads) {
        unchecked {
            uint256 n = groups.length;
            for (uint256 g; g < n; ++g) {
                _addSum(groups[g], _start(quads));
            }
            if (n == 1) return quads;
            uint256 end = _start(quads) + QUADS * WORD;
            for (uint256 quad = _start(quads); quad < end; quad += WORD) {
                // Each was raised by 2^31, and so is the mean.
                uint256 sum = _load(quad);
                _store(
                    quad,
                    (sum >> 192) / n << 192 | uint64(sum >> 128) / n << 128 | uint64(sum >> 64) / n << 64
                        | uint64(sum) / n
                );
            }
        }
    }

    /// @notice The median over n groups; of an even number the floor of the mean of the two in the middle.
    function median(uint256[][] memory groups) internal pure returns (uint256[QUADS] memory quads) {
        unchecked {
            uint256 n = groups.length;
            if (n == 1) return mean(groups);
            uint256[QUADS][] memory sums = new uint256[QUADS][](n);
            for (uint256 g; g < n; ++g) {
                _addSum(groups[g], _start(sums[g]));
            }
            (uint256 first, uint256 end) = _span(sums);
            uint256[] memory sorted = new uint256[](2 * n);
            (uint256 least, uint256 most) = _span(sorted);
            uint256 lower = least + (n - 1) / 2 * PAIR;
            for (uint256 at; at < QUADS * WORD; at += PAIR) {
                // Two quads at a time, one behind the other: the loop costs as much as the comparison.
                uint256 place = least;
                for (uint256 group = first; group < end; group += WORD) {
                    uint256 source = _load(group) + at;
                    _store(place, _load(source));
                    _store(place + WORD, _load(source + WORD));
                    place += PAIR;
                }
                // The largest of those left rises to their end, until the lower middle is in its place.
                for (uint256 last = most - PAIR; last >= lower; last -= PAIR) {
                    uint256 largest = _load(least);
                    uint256 nextLargest = _load(least + WORD);
                    for (place = least; place < last; place += PAIR) {
                        uint256 other = _load(place + PAIR);
                        uint256 excess = _excess(largest, other);
                        _store(place, largest - excess);
                        largest = other + excess;
                        other = _load(place + PAIR + WORD);
                        excess = _excess(nextLargest, other);
                        _store(place + WORD, nextLargest - excess);
                        nextLargest = other + excess;
                    }
                    _store(last, largest);
                    _store(last + WORD, nextLargest);
                }
                uint256 middle = _load(lower);
                uint256 nextMiddle = _load(lower + WORD);
                if (n & 1 == 0) {
                    middle = ((middle + _load(lower + PAIR)) >> 1) & LOWER_48;
                    nextMiddle = ((nextMiddle + _load(lower + PAIR + WORD)) >> 1) & LOWER_48;
                }
                _store(_start(quads) + at, middle);
                _store(_start(quads) + at + WORD, nextMiddle);
            }
        }
    }

    /// @notice Whether the chunk at `claimed` is saturate(state + ((serverStep * merged) >> 16)), floor, in its first
    /// `count` lanes, and zero in the others.
    function isNext(
        uint256 claimed,
        uint256 state,
        uint256[QUADS] memory merged,
        uint256 serverStep,
        uint256 count
    ) internal pure returns (bool) {
        unchecked {
            uint256 difference;
            // What raising the merged lanes adds to their product: 2^31 steps, a whole number after the shift.
            uint256 excess = ONES * (serverStep << 15);
            uint256 quad = _start(merged);
            for (uint256 j; j < CHUNK / WORD; ++j) {
                (uint256 upper, uint256 lower) = _split(_turned(_given(state + j * WORD) ^ RAISED_UNTURNED));
                // A raised lane is below 2^32 and so is the step: no product leaves its field.
                upper = _saturated(upper + (_load(quad) * serverStep >> 16 & LOWER_48), excess);
                lower = _saturated(lower + (_load(quad + WORD) * serverStep >> 16 & LOWER_48), excess);
                uint256 expected = _turned(upper << 32 | lower) ^ RAISED_UNTURNED;
                if (count < 8 * j + 8) {
                    expected &= count > 8 * j ? ~(type(uint256).max >> 32 * (count - 8 * j)) : 0;
                }
                difference |= expected ^ _given(claimed + j * WORD);
                quad += PAIR;
            }
            return difference == 0;
        }
    }

    /// @dev Adds to the quads at `quad` the sum modulo 2^32, as int32, of the chunks that `sources` names.
    function _addSum(uint256[] memory sources, uint256 quad) private pure {
        unchecked {
            (uint256 first, uint256 end) = _span(sources);
            for (uint256 at; at < CHUNK; at += PAIR) {
                // Bytes at even and at odd places, 16 bits each: nothing is carried before all are added. Two words at a
                // time, since the loop costs as much as the sums.
                uint256 even;
                uint256 odd;
                uint256 nextEven;
                uint256 nextOdd;
                for (uint256 source = first; source < end; source += WORD) {
                    uint256 place = _load(source) + at;
                    uint256 word = _given(place);
                    even += (word >> 8) & LOWER_8;
                    odd += word & LOWER_8;
                    word = _given(place + WORD);
                    nextEven += (word >> 8) & LOWER_8;
                    nextOdd += word & LOWER_8;
                }
                _addLanes(quad, even, odd);
                _addLanes(quad + PAIR, nextEven, nextOdd);
                quad += 2 * PAIR;
            }
        }
    }

    /// @dev Adds the lanes of a word, given the sums of its bytes, to its two quads.
    function _addLanes(uint256 quad, uint256 even, uint256 odd) private pure {
        unchecked {
            // Each lane is low + (high << 16), of which the lower half may carry into the upper.
            uint256 low = ((even >> 16) & LOWER_16) + (((odd >> 16) & LOWER_16) << 8);
            uint256 high = (even & LOWER_16) + ((odd & LOWER_16) << 8) + ((low >> 16) & LOWER_16);
            (uint256 upper, uint256 lower) = _split((low & LOWER_16 | (high & LOWER_16) << 16) ^ RAISED);
            _store(quad, _load(quad) + upper);
            _store(quad + WORD, _load(quad + WORD) + lower);
        }
    }

    /// @dev Eight lanes with their bytes in the other order.
    function _turned(uint256 word) private pure returns (uint256) {
        unchecked {
            word = (word & LOWER_8) << 8 | (word >> 8) & LOWER_8;
            return (word & LOWER_16) << 16 | (word >> 16) & LOWER_16;
        }
    }

    /// @dev The two quads of eight lanes. (A constant that stands in many places is copied from the code at each use, so
    /// the lower one is found without a mask.)
    function _split(uint256 lanes) private pure returns (uint256 upper, uint256 lower) {
        unchecked {
            upper = (lanes >> 32) & LOWER_32;
            lower = lanes ^ upper << 32;
        }
    }

    /// @dev a - b in each field, at least 0, at most 2^32 - 1. Both are below 2^50.
    function _saturated(uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            // Bit 50 stays where a >= b; the bits below it are then the difference.
            uint256 difference = (a | BIT_50) - b;
            uint256 stays = difference & BIT_50;
            uint256 lanes = difference & (stays - (stays >> 50));
            // It is set where a lane is beyond the greatest.
            uint256 beyond = (lanes + (BIT_50 - BIT_32)) & BIT_50;
            return (lanes | (beyond - (beyond >> 50))) & LOWER_32;
        }
    }

    /// @dev What a is more than b, in each field.
    function _excess(uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            // Bit 32 stays where a >= b; the bits below it are then the difference.
            uint256 difference = (a | BIT_32) - b;
            uint256 stays = difference & BIT_32;
            return difference & (stays - (stays >> 32));
        }
    }

    // Memory and calldata without the compiler's bounds checks: every place here comes from a loop that ends in time.

    function _span(uint256[] memory words) private pure returns (uint256 first, uint256 end) {
        assembly ("memory-safe") {
            first := add(words, 0x20)
            end := add(first, shl(5, mload(words)))
        }
    }

    function _span(uint256[QUADS][] memory groups) private pure returns (uint256 first, uint256 end) {
        assembly ("memory-safe") {
            first := add(groups, 0x20)
            end := add(first, shl(5, mload(groups)))
        }
    }

    function _start(uint256[QUADS] memory quads) private pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := quads
        }
    }

    function _load(uint256 place) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(place)
        }
    }

    function _store(uint256 place, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(place, word)
        }
    }

    function _given(uint256 place) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(place)
        }
    }
}
