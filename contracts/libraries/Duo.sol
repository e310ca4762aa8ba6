// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Modifiers of the GA4GH Data Use Ontology as bits
/// @notice TS (DUO:0000025) has no bit: every consent has an expiry.
library Duo {
    uint32 internal constant RS = 1 << 0; // DUO:0000012 research specific restrictions
    uint32 internal constant NMDS = 1 << 1; // DUO:0000015 no general methods research
    uint32 internal constant GSO = 1 << 2; // DUO:0000016 genetic studies only
    uint32 internal constant NPUNCU = 1 << 3; // DUO:0000018 not for profit, non commercial use only
    uint32 internal constant PUB = 1 << 4; // DUO:0000019 publication required
    uint32 internal constant COL = 1 << 5; // DUO:0000020 collaboration required
    uint32 internal constant IRB = 1 << 6; // DUO:0000021 ethics approval required
    uint32 internal constant GS = 1 << 7; // DUO:0000022 geographical restriction
    uint32 internal constant MOR = 1 << 8; // DUO:0000024 publication moratorium
    uint32 internal constant US = 1 << 9; // DUO:0000026 user specific restriction
    uint32 internal constant PS = 1 << 10; // DUO:0000027 project specific restriction
    uint32 internal constant IS = 1 << 11; // DUO:0000028 institution specific restriction
    uint32 internal constant RTN = 1 << 12; // DUO:0000029 return to database or resource
    uint32 internal constant CC = 1 << 13; // DUO:0000043 clinical care use
    uint32 internal constant NPOA = 1 << 14; // DUO:0000044 population origins or ancestry research prohibited
    uint32 internal constant NPU = 1 << 15; // DUO:0000045 not for profit organisation use only
    uint32 internal constant NCU = 1 << 16; // DUO:0000046 non-commercial use only

    uint32 internal constant ALL = (1 << 17) - 1;
}
