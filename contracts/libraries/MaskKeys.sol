// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title X25519 public keys
library MaskKeys {
    // The u-coordinates of low order (RFC 7748, section 6.1; Cremers and Jackson 2019), the number's lowest byte first,
    // as the key has them. With one of them everybody knows the shared secret.
    bytes32 private constant ONE = 0x0100000000000000000000000000000000000000000000000000000000000000;
    bytes32 private constant ORDER_8_A = 0xe0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800;
    bytes32 private constant ORDER_8_B = 0x5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157;
    bytes32 private constant P_MINUS_1 = 0xecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f;
    bytes32 private constant P = 0xedffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f;
    bytes32 private constant P_PLUS_1 = 0xeeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f;
    // X25519 ignores the highest bit: the highest of the last byte.
    bytes32 private constant USED_BITS = ~bytes32(uint256(0x80));

    /// @notice Whether nothing can be agreed with this key.
    function isWeak(bytes32 key) internal pure returns (bool) {
        key &= USED_BITS;
        return key == 0 || key == ONE || key == ORDER_8_A || key == ORDER_8_B || key == P_MINUS_1 || key == P
            || key == P_PLUS_1;
    }
}
