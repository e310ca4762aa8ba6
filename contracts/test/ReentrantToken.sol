// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that calls whoever it is told to, in the middle of a transfer
contract ReentrantToken is ERC20 {
    address public target;
    bytes public payload;

    event Answered(bool success, bytes data);

    constructor() ERC20("Reentrant", "RE") {}

    /// @notice Gives `amount` to `to`.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Arms the call of the next transfer.
    function arm(address target_, bytes calldata payload_) external {
        target = target_;
        payload = payload_;
    }

    /// @dev The armed call is made once, before the balances move, and its answer is recorded.
    function _update(address from, address to, uint256 amount) internal override {
        address called = target;
        if (called != address(0) && from != address(0)) {
            target = address(0);
            (bool success, bytes memory data) = called.call(payload);
            emit Answered(success, data);
        }
        super._update(from, to, amount);
    }
}
