// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The merge as DESIGN.md says it, one lane at a time
/// @notice Nothing here is shared with the contracts: plain loops, signed numbers of 256 bits, a tree built whole.
library Naive {
    /// @notice A lane of a chunk: little-endian int32.
    function lane(bytes memory chunk, uint256 i) internal pure returns (int256) {
        uint256 four;
        assembly ("memory-safe") {
            four := shr(224, mload(add(add(chunk, 0x20), mul(4, i))))
        }
        uint256 value = four >> 24 | (four >> 8 & 0xff00) | (four << 8 & 0xff0000) | (four << 24 & 0xff000000);
        return asInt32(value);
    }

    /// @notice Writes a lane.
    function setLane(bytes memory chunk, uint256 i, int256 value) internal pure {
        assembly ("memory-safe") {
            let first := add(add(chunk, 0x20), mul(4, i))
            mstore8(first, value)
            mstore8(add(first, 1), shr(8, value))
            mstore8(add(first, 2), shr(16, value))
            mstore8(add(first, 3), shr(24, value))
        }
    }

    /// @notice A lane of the next state. `groups`: for each its updates.
    function next(
        bytes memory state,
        bytes[][] memory groups,
        uint256 at,
        int256[] memory sums,
        bool isMedian,
        uint256 serverStep
    ) internal pure returns (int256) {
        for (uint256 g = 0; g < groups.length; ++g) {
            int256 sum = 0;
            for (uint256 i = 0; i < groups[g].length; ++i) {
                sum += lane(groups[g][i], at);
            }
            sums[g] = asInt32(uint256(sum + 2 ** 62) % 2 ** 32);
        }
        int256 merged = isMedian ? median(sums) : mean(sums);
        return saturate(lane(state, at) + floorDiv(int256(serverStep) * merged, 65_536));
    }

    function mean(int256[] memory sums) internal pure returns (int256) {
        int256 total = 0;
        for (uint256 i = 0; i < sums.length; ++i) {
            total += sums[i];
        }
        return floorDiv(total, int256(sums.length));
    }

    /// @notice By counting how many are below, not by sorting.
    function median(int256[] memory sums) internal pure returns (int256) {
        uint256 half = sums.length / 2;
        if (sums.length % 2 == 1) return ranked(sums, half);
        return floorDiv(ranked(sums, half - 1) + ranked(sums, half), 2);
    }

    /// @notice The number that `rank` others precede.
    function ranked(int256[] memory sums, uint256 rank) internal pure returns (int256) {
        for (uint256 i = 0; i < sums.length; ++i) {
            uint256 before = 0;
            for (uint256 j = 0; j < sums.length; ++j) {
                if (sums[j] < sums[i] || (sums[j] == sums[i] && j < i)) ++before;
            }
            if (before == rank) return sums[i];
        }
        revert("no such rank");
    }

    function floorDiv(int256 a, int256 b) internal pure returns (int256 quotient) {
        quotient = a / b;
        if (a < 0 && quotient * b != a) --quotient;
    }

    function saturate(int256 value) internal pure returns (int256) {
        if (value > type(int32).max) return type(int32).max;
        if (value < type(int32).min) return type(int32).min;
        return value;
    }

    function asInt32(uint256 value) internal pure returns (int256) {
        return value < 2 ** 31 ? int256(value) : int256(value) - 2 ** 32;
    }

    function leaf(uint32 lanes, uint32 index, bytes memory chunk) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(uint8(0), lanes, index, chunk));
    }

    /// @notice Root and path of leaf `index`, level by level.
    function prove(bytes32[] memory level, uint256 index)
        internal
        pure
        returns (bytes32 root, bytes32[] memory path)
    {
        path = new bytes32[](0);
        while (level.length > 1) {
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < above.length; ++i) {
                above[i] = 2 * i + 1 < level.length
                    ? sha256(abi.encodePacked(uint8(1), level[2 * i], level[2 * i + 1]))
                    : level[2 * i];
            }
            uint256 sibling = index % 2 == 0 ? index + 1 : index - 1;
            if (sibling < level.length) path = append(path, level[sibling]);
            (level, index) = (above, index / 2);
        }
        root = level[0];
    }

    function append(bytes32[] memory list, bytes32 last) internal pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = last;
    }
}
