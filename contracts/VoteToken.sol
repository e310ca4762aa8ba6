// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title The DAO's vote
/// @notice A fixed supply, given out at deployment; nobody can mint. Votes are counted by timestamp (ERC-6372).
contract VoteToken is ERC20, ERC20Permit, ERC20Votes {
    /// @notice Every first holder needs exactly one amount.
    error HoldersMismatch(uint256 holders, uint256 amounts);

    /// @param amounts in the token's smallest unit, 10^-18, one a holder.
    constructor(address[] memory holders, uint256[] memory amounts)
        ERC20("Salus Vote", "SALUS")
        ERC20Permit("Salus Vote")
    {
        if (holders.length != amounts.length) revert HoldersMismatch(holders.length, amounts.length);
        for (uint256 i = 0; i < holders.length; ++i) {
            _mint(holders[i], amounts[i]);
            // A vote that nobody delegated does not count; the first holders vote for themselves unless they say else.
            _delegate(holders[i], holders[i]);
        }
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    /// @notice ERC-6372: unix seconds.
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    /// @notice ERC-6372.
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _update(address from, address to, uint256 amount) internal override(ERC20, ERC20Votes) {
        super._update(from, to, amount);
    }
}
