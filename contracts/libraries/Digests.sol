// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";

/// @title What a round's digests hash
/// @notice SHA-256 over abi.encode, so that the record can be recomputed with any library.
library Digests {
    /// @notice The accumulator of an attempt before any update.
    /// @param labels the round's groups; zero with one group.
    function attempt(uint32 jobId, uint16 round, uint8 number, uint192 labels) internal pure returns (bytes32) {
        return sha256(abi.encode(jobId, round, number, labels));
    }

    /// @notice The accumulator after one more update.
    /// @param index the hospital's bit in the job.
    function update(bytes32 accumulator, uint8 index, IModelRegistry.Vector calldata vector)
        internal
        view
        returns (bytes32 digest)
    {
        // sha256(abi.encode(accumulator, index, vector.cid, vector.root)), at a third of the gas: once in each submit,
        // and eighteen times in a challenge.
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, accumulator)
            mstore(add(words, 0x20), and(index, 0xff))
            calldatacopy(add(words, 0x40), vector, 0x40)
            if iszero(staticcall(gas(), 2, words, 0x80, 0, 0x20)) { revert(0, 0) }
            digest := mload(0)
        }
    }

    /// @notice What a merge is: these updates, in the order of their arrival, and this result.
    function merge(
        uint32 jobId,
        uint16 round,
        uint8 number,
        bytes32 accumulator,
        IModelRegistry.Vector calldata state
    ) internal pure returns (bytes32) {
        return sha256(abi.encode(jobId, round, number, accumulator, state.cid, state.root));
    }
}
