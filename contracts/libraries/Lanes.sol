// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Arithmetic on the 256 lanes of a chunk, several to a word
/// @notice A chunk comes as 32 words of eight little-endian int32. Here it is computed with as 64 **quads**: quad 2j has the
/// first, third, fifth and seventh lane of word j, quad 2j + 1 the others, 64 bits apart. A lane is raised by 2^31, which
/// keeps the order and makes it unsigned: -2^31 is 0, and 2^31 - 1 is 2^32 - 1. The upper half of each field is room for
/// carries and products, so that one operation of the machine does for four lanes.
library Lanes {
    uint256 internal constant QUADS = 64;
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
    /// @dev Four lanes that are zero.
    uint256 private constant ZEROS = ONES << 31;
    uint256 private constant BIT_32 = ONES << 32;
    uint256 private constant BIT_63 = ONES << 63;

    /// @notice The sum of up to 257 chunks modulo 2^32, as int32. `sources`: where their bytes begin in the calldata.
    function sum(uint256[] memory sources) internal pure returns (uint256[QUADS] memory quads) {
        unchecked {
            (uint256 first, uint256 end) = _span(sources);
            uint256 quad = _start(quads);
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
                _settle(quad, even, odd);
                _settle(quad + PAIR, nextEven, nextOdd);
                quad += 2 * PAIR;
            }
        }
    }

    /// @dev Writes the two quads of a word from the sums of its bytes.
    function _settle(uint256 place, uint256 even, uint256 odd) private pure {
        unchecked {
            // Each lane is low + (high << 16), of which the lower half may carry into the upper.
            uint256 low = ((even >> 16) & LOWER_16) + (((odd >> 16) & LOWER_16) << 8);
            uint256 high = (even & LOWER_16) + ((odd & LOWER_16) << 8) + ((low >> 16) & LOWER_16);
            uint256 lanes = (low & LOWER_16 | (high & LOWER_16) << 16) ^ (ZEROS | ZEROS << 32);
            _store(place, (lanes >> 32) & LOWER_32);
            _store(place + WORD, lanes & LOWER_32);
        }
    }

    /// @notice floor(sum / n) of n groups, written into the first.
    function mean(uint256[QUADS][] memory groups) internal pure {
        unchecked {
            uint256 n = groups.length;
            if (n == 1) return;
            (uint256 first, uint256 end) = _span(groups);
            for (uint256 at; at < QUADS * WORD; at += PAIR) {
                uint256 total;
                uint256 nextTotal;
                for (uint256 group = first; group < end; group += WORD) {
                    uint256 place = _load(group) + at;
                    total += _load(place);
                    nextTotal += _load(place + WORD);
                }
                _store(_load(first) + at, _quotient(total, n));
                _store(_load(first) + at + WORD, _quotient(nextTotal, n));
            }
        }
    }

    /// @notice The median of n groups, written into the first; of an even number the floor of the mean of the two in the
    /// middle.
    function median(uint256[QUADS][] memory groups) internal pure {
        unchecked {
            uint256 n = groups.length;
            if (n == 1) return;
            (uint256 first, uint256 end) = _span(groups);
            uint256[] memory sorted = new uint256[](2 * n);
            (uint256 least, uint256 most) = _span(sorted);
            uint256 lower = least + (n - 1) / 2 * PAIR;
            for (uint256 at; at < QUADS * WORD; at += PAIR) {
                // Two quads at a time, one behind the other.
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
                    middle = ((middle + _load(lower + PAIR)) >> 1) & LOWER_32;
                    nextMiddle = ((nextMiddle + _load(lower + PAIR + WORD)) >> 1) & LOWER_32;
                }
                _store(_load(first) + at, middle);
                _store(_load(first) + at + WORD, nextMiddle);
            }
        }
    }

    /// @notice Whether `claimed` is saturate(state + ((serverStep * merged) >> 16)), floor, in its first `count` lanes, and
    /// zero in the others.
    function isNext(
        uint256[QUADS] memory claimed,
        uint256[QUADS] memory state,
        uint256[QUADS] memory merged,
        uint256 serverStep,
        uint256 count
    ) internal pure returns (bool) {
        unchecked {
            uint256 difference;
            // What raising the merged lanes adds to their product: 2^31 steps, a whole number after the shift.
            uint256 raised = ONES * (serverStep << 15);
            for (uint256 q; q < QUADS; ++q) {
                uint256 at = q * WORD;
                // A raised lane is below 2^32 and so is the step: no product leaves its field.
                uint256 moved = _load(_start(merged) + at) * serverStep >> 16 & LOWER_48;
                uint256 expected = _saturated(_load(_start(state) + at) + moved, raised);
                if (count < 4 * QUADS) {
                    uint256 mask = _firstLanes(q, count);
                    expected = expected & mask | ZEROS & ~mask;
                }
                difference |= _load(_start(claimed) + at) ^ expected;
            }
            return difference == 0;
        }
    }

    /// @dev a - b in each field, at least 0, at most 2^32 - 1.
    function _saturated(uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            // Bit 63 stays where a >= b; the bits below it are then the difference.
            uint256 difference = (a | BIT_63) - b;
            uint256 stays = difference & BIT_63;
            uint256 lanes = difference & (stays - (stays >> 63));
            // It is set where a lane is beyond the greatest.
            uint256 beyond = (lanes + (BIT_63 - BIT_32)) & BIT_63;
            return (lanes | (beyond - (beyond >> 63))) & LOWER_32;
        }
    }

    /// @dev floor(sum / n) in each field. Where each of n lanes was raised by 2^31, so is their mean.
    function _quotient(uint256 total, uint256 n) private pure returns (uint256) {
        unchecked {
            return (total >> 192) / n << 192 | uint64(total >> 128) / n << 128 | uint64(total >> 64) / n << 64
                | uint64(total) / n;
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

    /// @dev All bits of the fields of quad `q` whose lanes are among the first `count` of the chunk.
    function _firstLanes(uint256 q, uint256 count) private pure returns (uint256) {
        unchecked {
            uint256 before = (q >> 1) * 8 + (q & 1);
            return count <= before ? 0 : ~(type(uint256).max >> 64 * ((count - before + 1) / 2));
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
