// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A hospital's consent to train on one of its datasets
/// @notice ERC-721, soulbound (ERC-5192). Terms follow the GA4GH Data Use Ontology (DUO): one permission and modifiers
/// that a job must pledge. Minted by the hospital's admin, or by anyone who carries the admin's EIP-712 signature.
/// Revocable at once and for good. The owner of a token holds a receipt, not authority.
interface IConsentToken {
    /// @notice DUO permissions, widest first: each allows itself and whatever follows it.
    /// NRES DUO:0000004, GRU DUO:0000042, HMB DUO:0000006, DS DUO:0000007 (with a MONDO disease).
    enum Permission {
        NRES,
        GRU,
        HMB,
        DS
    }

    /// @notice What a hospital allows.
    /// @param grantee the researcher who may use it; zero: anyone whom the other terms allow.
    /// @param mondo number of the MONDO disease, for DS; else zero.
    /// @param modifiers bit set of DUO modifiers that a job must pledge (see `Duo`).
    /// @param region UN M49 code, for GS; else zero.
    /// @param expiresAt unix seconds from which it is dead (DUO TS).
    /// @param maxRounds most updates accepted under it, over all jobs; an update sent again in a later attempt counts
    /// again, since it too was published.
    /// @param epsilonBudgetMicro most that the dataset's epsilon ledger may reach under it, in millionths.
    struct Terms {
        uint32 datasetId;
        address grantee;
        Permission permission;
        uint32 mondo;
        uint32 modifiers;
        uint16 region;
        uint40 expiresAt;
        uint32 maxRounds;
        uint64 epsilonBudgetMicro;
    }

    /// @notice What a job is for, and what it pledges.
    struct Purpose {
        address researcher;
        Permission permission;
        uint32 mondo;
        uint32 pledges;
        uint16 region;
    }

    /// @notice A token's terms and its life so far.
    struct Consent {
        Terms terms;
        uint32 hospitalId;
        uint32 roundsUsed;
        bool revoked;
    }

    event ConsentMinted(uint32 indexed consentId, uint32 indexed hospitalId, uint32 indexed datasetId, Terms terms);
    event ConsentRevoked(uint32 indexed consentId, uint32 indexed hospitalId);
    event ConsentUsed(uint32 indexed consentId, uint32 roundsUsed);
    event EpsilonSpent(uint32 indexed datasetId, uint32 indexed consentId, uint64 totalMicro);
    event ConsumerSet(address indexed consumer, bool allowed);
    /// @notice An account's nonce was used by a signed mint, or given up.
    event NonceSpent(address indexed account, uint256 nonce);
    /// @notice ERC-5192.
    event Locked(uint256 tokenId);

    /// @notice No consent has this id.
    error UnknownConsent(uint32 consentId);
    /// @notice The consent was given by another hospital.
    error NotYourConsent(uint32 consentId, uint32 hospitalId);
    /// @notice The consent was revoked.
    error ConsentIsRevoked(uint32 consentId);
    /// @notice The consent ended at `expiresAt`.
    error ConsentExpired(uint32 consentId, uint40 expiresAt);
    /// @notice All `maxRounds` of the consent are used.
    error ConsentExhausted(uint32 consentId, uint32 maxRounds);
    /// @notice The consent names another grantee.
    error NotGrantee(uint32 consentId, address grantee, address researcher);
    /// @notice The consent's permission does not cover the purpose.
    error PurposeNotAllowed(uint32 consentId, Permission allowed, Permission asked);
    /// @notice The consent is for another disease.
    error DiseaseNotAllowed(uint32 consentId, uint32 allowed, uint32 asked);
    /// @notice The job lacks pledges that the consent asks for.
    error PledgesMissing(uint32 consentId, uint32 missing);
    /// @notice The consent is for another region.
    error RegionNotAllowed(uint32 consentId, uint16 allowed, uint16 asked);
    /// @notice A declared total is below what the dataset has already spent.
    error EpsilonFalls(uint32 datasetId, uint64 spent, uint64 declared);
    /// @notice A declared total passes the budget of the consent.
    error EpsilonExceeded(uint32 consentId, uint64 budget, uint64 declared);
    /// @notice Terms that contradict themselves: a disease without DS, a region without GS, an expiry in the past,
    /// no rounds, or unknown modifier bits.
    error BadTerms();
    /// @notice The signature is past its deadline.
    error SignatureExpired(uint256 deadline);
    /// @notice The signature is not the admin's over these terms, nonce and deadline, on this chain and contract.
    error BadSignature();
    /// @notice A consent never changes owner.
    error Soulbound(uint256 tokenId);
    /// @notice Only a contract that the DAO has allowed may use consents.
    error NotConsumer(address caller);
    /// @notice More ids than the mask has bits.
    error TooManyConsents(uint256 count);

    /// @notice Mints a consent. Only the admin of the dataset's hospital, not while suspended.
    function mint(Terms calldata terms) external returns (uint32 consentId);

    /// @notice Mints a consent that the admin of the dataset's hospital signed (EIP-712, EOA or ERC-1271). Anyone.
    /// The signature covers `terms`, the admin's current nonce and `deadline`, as the EIP-712 type
    /// `MintConsent(Terms terms,uint256 nonce,uint256 deadline)`, `Terms` with its fields as above, `permission` a uint8.
    function mintBySignature(Terms calldata terms, uint256 deadline, bytes calldata signature)
        external
        returns (uint32 consentId);

    /// @notice Makes every signature over the caller's current nonce void.
    function cancelSignatures() external;

    /// @notice Ends a consent at once and for good. Only the admin of its hospital, suspended or not.
    function revoke(uint32 consentId) external;

    /// @notice Uses a consent for one update. Only an allowed consumer. Reverts with the reason why it may not.
    /// @param epsilonTotalMicro the dataset's total so far, this update included; zero: no differential privacy, and
    /// the ledger stays as it is.
    function use(uint32 consentId, uint32 hospitalId, Purpose calldata purpose, uint64 epsilonTotalMicro) external;

    /// @notice Allows or stops a consumer. Only the timelock.
    function setConsumer(address consumer, bool allowed) external;

    /// @notice Whether a contract may use consents.
    function isConsumer(address account) external view returns (bool);

    /// @notice Reverts with the first reason why this consent does not allow this purpose now.
    /// @return datasetId the dataset that it allows it for.
    function check(uint32 consentId, uint32 hospitalId, Purpose calldata purpose)
        external
        view
        returns (uint32 datasetId);

    /// @notice Bit i is set when `consentIds[i]` is neither revoked nor expired nor used up. At most 256.
    function live(uint32[] calldata consentIds) external view returns (uint256 mask);

    /// @notice A consent. Reverts with `UnknownConsent`.
    function consent(uint32 consentId) external view returns (Consent memory);

    /// @notice Epsilon spent on a dataset over all its versions and consents, in millionths.
    function epsilonSpentMicro(uint32 datasetId) external view returns (uint64);

    /// @notice How many consents were ever minted: ids run from 1 to this.
    function consentCount() external view returns (uint32);

    /// @notice ERC-5192: always true for a token that exists.
    function locked(uint256 tokenId) external view returns (bool);
}
