// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Groups} from "../libraries/Groups.sol";
import {MaskKeys} from "../libraries/MaskKeys.sol";

/// @title Libraries without state, for a test to call
contract PureLibraries {
    function draw(bytes32 seed, uint48 members, uint256 most) external pure returns (uint192 labels) {
        return Groups.draw(seed, members, most);
    }

    function large(uint48 members, uint192 labels) external pure returns (uint48 kept) {
        return Groups.large(members, labels);
    }

    function labelOf(uint192 labels, uint256 index) external pure returns (uint256) {
        return Groups.labelOf(labels, index);
    }

    function isWeak(bytes32 key) external pure returns (bool) {
        return MaskKeys.isWeak(key);
    }
}
