// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IChallenges} from "../interfaces/IChallenges.sol";

/// @title Chunks of a vector and the Merkle paths that prove them
/// @notice A vector of int32 is cut into chunks of 256 lanes. Leaf: sha256(0x00, uint32 lanes, uint32 index, chunk);
/// node: sha256(0x01, left, right); at a level of odd length the last node moves up as it is.
library Chunks {
    uint256 internal constant LANES = 256;
    uint256 internal constant BYTES = 4 * LANES;

    /// @notice The way from one chunk to the root: the same for every vector of that many lanes.
    /// @param head tag, lanes and index, as a leaf begins: nine bytes, the highest of the word.
    /// @param steps how many siblings a path has.
    /// @param turns bit i + 5: at step i the sibling is on the left. One more bit, the highest, stands after the last.
    struct Way {
        uint256 head;
        uint256 steps;
        uint256 turns;
    }

    /// @notice How many chunks hold `lanes` lanes.
    function count(uint256 lanes) internal pure returns (uint256) {
        unchecked {
            return (lanes + LANES - 1) / LANES;
        }
    }

    /// @notice The way from chunk `index` of a vector of `lanes` lanes; the caller has checked that it exists.
    function way(uint32 lanes, uint32 index) internal pure returns (Way memory found) {
        unchecked {
            found.head = uint256(lanes) << 216 | uint256(index) << 184;
            uint256 place = index;
            for (uint256 nodes = count(lanes); nodes > 1; nodes = (nodes + 1) >> 1) {
                if (place ^ 1 < nodes) {
                    found.turns |= (place & 1) << (found.steps + 5);
                    ++found.steps;
                }
                place >>= 1;
            }
            found.turns |= 1 << (found.steps + 5);
        }
    }

    /// @notice Where in the calldata the bytes of `chunk` begin. Zero when it is of another size, or its path does not lead
    /// to `root`.
    function prove(Way memory self, IChallenges.Chunk calldata chunk, bytes32 root)
        internal
        view
        returns (uint256 source)
    {
        bytes calldata lanes = chunk.lanes;
        bytes32[] calldata path = chunk.path;
        if (lanes.length != BYTES || path.length != self.steps) return 0;
        bytes32 found = _leaf(self.head, lanes);
        uint256 turns = self.turns;
        // `abi.encodePacked` would take new memory for each node, and twice the gas.
        assembly ("memory-safe") {
            // Beyond the free memory pointer: a byte for the tag, then the two hashes of a node, on a multiple of 64, so
            // that one bit tells left from right. Each hash is written where the next node wants it.
            let left := and(add(mload(0x40), 0x5f), not(0x3f))
            let tagged := sub(left, 1)
            mstore8(tagged, 1)
            let place := or(left, and(turns, 0x20))
            mstore(place, found)
            let hashed := 1
            let sibling := path.offset
            // Two steps at a time, since the loop costs half as much as the hash; then one, where one is left.
            for {} gt(turns, 0x7f) { sibling := add(sibling, 0x40) } {
                mstore(xor(place, 0x20), calldataload(sibling))
                turns := shr(1, turns)
                place := or(left, and(turns, 0x20))
                hashed := and(staticcall(gas(), 2, tagged, 65, place, 0x20), hashed)
                mstore(xor(place, 0x20), calldataload(add(sibling, 0x20)))
                turns := shr(1, turns)
                place := or(left, and(turns, 0x20))
                hashed := and(staticcall(gas(), 2, tagged, 65, place, 0x20), hashed)
            }
            if gt(turns, 0x3f) {
                mstore(xor(place, 0x20), calldataload(sibling))
                place := or(left, and(shr(1, turns), 0x20))
                hashed := and(staticcall(gas(), 2, tagged, 65, place, 0x20), hashed)
            }
            if iszero(hashed) { revert(0, 0) }
            source := mul(lanes.offset, eq(mload(place), root))
        }
    }

    function _leaf(uint256 head, bytes calldata lanes) private view returns (bytes32 leaf) {
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, head)
            calldatacopy(add(buffer, 9), lanes.offset, 1024)
            if iszero(staticcall(gas(), 2, buffer, 1033, 0, 0x20)) { revert(0, 0) }
            leaf := mload(0)
        }
    }
}
