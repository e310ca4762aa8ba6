// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A reward token for development chains
/// @notice Anyone mints what they like: worth nothing, and never deployed to a public network.
contract DevToken is ERC20 {
    constructor() ERC20("Salus Development Dollar", "devUSD") {}

    /// @notice Gives `amount` of the smallest unit to `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
