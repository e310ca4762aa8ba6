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
    /// @param rights bit i: at step i the sibling is on the left.
    struct Way {
        uint256 head;
        uint256 steps;
        uint256 rights;
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
                    found.rights |= (place & 1) << found.steps;
                    ++found.steps;
                }
                place >>= 1;
            }
        }
    }

    /// @notice Whether `chunk` has the right size and its path leads to `root`.
    function leadsTo(Way memory self, IChallenges.Chunk calldata chunk, bytes32 root) internal view returns (bool) {
        bytes calldata lanes = chunk.lanes;
        bytes32[] calldata path = chunk.path;
        if (lanes.length != BYTES || path.length != self.steps) return false;
        bytes32 node = _leaf(self.head, lanes);
        uint256 rights = self.rights;
        // `abi.encodePacked` would take new memory for each node, and twice the gas.
        assembly ("memory-safe") {
            // Tag in byte 31, then two hashes: 65 bytes beyond the free memory pointer, hashed from there.
            let buffer := mload(0x40)
            mstore(buffer, 1)
            let left := add(buffer, 0x20)
            let tagged := add(buffer, 0x1f)
            let sibling := path.offset
            for { let end := add(sibling, shl(5, path.length)) } lt(sibling, end) { sibling := add(sibling, 0x20) } {
                let side := shl(5, and(rights, 1))
                mstore(add(left, side), node)
                mstore(add(left, xor(side, 0x20)), calldataload(sibling))
                if iszero(staticcall(gas(), 2, tagged, 65, 0, 0x20)) { revert(0, 0) }
                node := mload(0)
                rights := shr(1, rights)
            }
        }
        return node == root;
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
