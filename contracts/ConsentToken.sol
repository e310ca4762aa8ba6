// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IConsentToken} from "./interfaces/IConsentToken.sol";
import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {IHospitalRegistry} from "./interfaces/IHospitalRegistry.sol";
import {Duo} from "./libraries/Duo.sol";

/// @title A hospital's consent to train on one of its datasets
/// @notice The owner of this contract is the DAO's timelock. It can name the contracts that use consents; it can
/// neither mint nor revoke one.
contract ConsentToken is IConsentToken, ERC721, EIP712, Nonces, Ownable {
    /// @dev Two slots: the first holds all that a use writes, the second what it only reads.
    struct Record {
        uint32 datasetId;
        uint32 hospitalId;
        uint40 expiresAt;
        uint32 maxRounds;
        uint32 roundsUsed;
        Permission permission;
        bool revoked;
        uint32 modifiers;
        uint16 region;
        // second slot
        address grantee;
        uint32 mondo;
        uint64 epsilonBudgetMicro;
    }

    bytes4 private constant ERC5192_ID = 0xb45a3c0e;
    uint256 private constant MASK_BITS = 256;

    bytes private constant TERMS_TYPE =
        "Terms(uint32 datasetId,address grantee,uint8 permission,uint32 mondo,uint32 modifiers,uint16 region,uint40 expiresAt,uint32 maxRounds,uint64 epsilonBudgetMicro)";
    bytes32 private constant TERMS_TYPEHASH = keccak256(TERMS_TYPE);
    bytes32 private constant MINT_TYPEHASH =
        keccak256(abi.encodePacked("MintConsent(Terms terms,uint256 nonce,uint256 deadline)", TERMS_TYPE));

    IHospitalRegistry public immutable hospitals;
    IDatasetRegistry public immutable datasets;

    /// @inheritdoc IConsentToken
    uint32 public override consentCount;
    mapping(uint32 consentId => Record) private _records;
    /// @inheritdoc IConsentToken
    mapping(uint32 datasetId => uint64) public override epsilonSpentMicro;
    /// @inheritdoc IConsentToken
    mapping(address account => bool) public override isConsumer;

    constructor(address owner, IHospitalRegistry hospitals_, IDatasetRegistry datasets_)
        ERC721("Salus Consent", "CONSENT")
        EIP712("Salus ConsentToken", "1")
        Ownable(owner)
    {
        hospitals = hospitals_;
        datasets = datasets_;
    }

    /// @inheritdoc IConsentToken
    function mint(Terms calldata terms) external override returns (uint32 consentId) {
        uint32 hospitalId = hospitals.requireAdmin(msg.sender);
        if (datasets.hospitalOf(terms.datasetId) != hospitalId) {
            revert IDatasetRegistry.NotYourDataset(terms.datasetId, hospitalId);
        }
        return _mintConsent(terms, hospitalId, _activeAdmin(hospitalId));
    }

    /// @inheritdoc IConsentToken
    function mintBySignature(Terms calldata terms, uint256 deadline, bytes calldata signature)
        external
        override
        returns (uint32 consentId)
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        uint32 hospitalId = datasets.hospitalOf(terms.datasetId);
        address admin = _activeAdmin(hospitalId);
        // Spent before the signature is looked at, so an ERC-1271 wallet cannot come back in on the same nonce.
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    MINT_TYPEHASH, keccak256(abi.encode(TERMS_TYPEHASH, terms)), _spendNonce(admin), deadline
                )
            )
        );
        if (!SignatureChecker.isValidSignatureNow(admin, digest, signature)) revert BadSignature();
        return _mintConsent(terms, hospitalId, admin);
    }

    /// @inheritdoc IConsentToken
    function cancelSignatures() external override {
        _spendNonce(msg.sender);
    }

    /// @inheritdoc IConsentToken
    function revoke(uint32 consentId) external override {
        Record storage record = _record(consentId);
        uint32 hospitalId = hospitals.requireAdmin(msg.sender);
        if (record.hospitalId != hospitalId) revert NotYourConsent(consentId, hospitalId);
        if (record.revoked) revert ConsentIsRevoked(consentId);

        record.revoked = true;

        emit ConsentRevoked(consentId, hospitalId);
    }

    /// @inheritdoc IConsentToken
    function use(uint32 consentId, uint32 hospitalId, Purpose calldata purpose, uint64 epsilonTotalMicro)
        external
        override
    {
        if (!isConsumer[msg.sender]) revert NotConsumer(msg.sender);
        Record storage record = _record(consentId);
        (uint32 datasetId, uint32 roundsUsed) = _check(record, consentId, hospitalId, purpose);

        if (epsilonTotalMicro != 0) _spendEpsilon(consentId, datasetId, record.epsilonBudgetMicro, epsilonTotalMicro);
        // Cannot overflow: it was below `maxRounds`.
        unchecked {
            ++roundsUsed;
        }
        record.roundsUsed = roundsUsed;

        emit ConsentUsed(consentId, roundsUsed);
    }

    /// @inheritdoc IConsentToken
    function setConsumer(address consumer, bool allowed) external override onlyOwner {
        isConsumer[consumer] = allowed;

        emit ConsumerSet(consumer, allowed);
    }

    /// @inheritdoc IConsentToken
    function check(uint32 consentId, uint32 hospitalId, Purpose calldata purpose)
        external
        view
        override
        returns (uint32 datasetId)
    {
        (datasetId,) = _check(_record(consentId), consentId, hospitalId, purpose);
    }

    /// @inheritdoc IConsentToken
    function live(uint32[] calldata consentIds) external view override returns (uint256 mask) {
        if (consentIds.length > MASK_BITS) revert TooManyConsents(consentIds.length);
        for (uint256 i = 0; i < consentIds.length; ++i) {
            Record storage record = _records[consentIds[i]];
            // No need to ask whether it exists: an unknown one expired in 1970.
            if (!record.revoked && block.timestamp < record.expiresAt && record.roundsUsed < record.maxRounds) {
                mask |= 1 << i;
            }
        }
    }

    /// @inheritdoc IConsentToken
    function consent(uint32 consentId) external view override returns (Consent memory) {
        Record memory record = _record(consentId);
        return Consent({
            terms: Terms({
                datasetId: record.datasetId,
                grantee: record.grantee,
                permission: record.permission,
                mondo: record.mondo,
                modifiers: record.modifiers,
                region: record.region,
                expiresAt: record.expiresAt,
                maxRounds: record.maxRounds,
                epsilonBudgetMicro: record.epsilonBudgetMicro
            }),
            hospitalId: record.hospitalId,
            roundsUsed: record.roundsUsed,
            revoked: record.revoked
        });
    }

    /// @inheritdoc IConsentToken
    function locked(uint256 tokenId) external view override returns (bool) {
        _requireOwned(tokenId);
        return true;
    }

    /// @notice ERC-165: ERC-721 and ERC-5192.
    function supportsInterface(bytes4 interfaceId) public view override returns (bool) {
        return interfaceId == ERC5192_ID || super.supportsInterface(interfaceId);
    }

    /// @dev Every way to move, give away or burn a token ends here. Approvals are left as they are: nothing that they
    /// allow gets past this line.
    function _update(address to, uint256 tokenId, address auth) internal override returns (address from) {
        if (_ownerOf(tokenId) != address(0)) revert Soulbound(tokenId);
        return super._update(to, tokenId, auth);
    }

    /// @dev No `_safeMint`: a receipt asks nothing of its owner, and a grantee must not be able to refuse or re-enter.
    function _mintConsent(Terms calldata terms, uint32 hospitalId, address admin) private returns (uint32 consentId) {
        _requireSound(terms);

        consentId = ++consentCount;
        _records[consentId] = Record({
            datasetId: terms.datasetId,
            hospitalId: hospitalId,
            expiresAt: terms.expiresAt,
            maxRounds: terms.maxRounds,
            roundsUsed: 0,
            permission: terms.permission,
            revoked: false,
            modifiers: terms.modifiers,
            region: terms.region,
            grantee: terms.grantee,
            mondo: terms.mondo,
            epsilonBudgetMicro: terms.epsilonBudgetMicro
        });
        _mint(terms.grantee == address(0) ? admin : terms.grantee, consentId);

        emit Locked(consentId);
        emit ConsentMinted(consentId, hospitalId, terms.datasetId, terms);
    }

    function _spendNonce(address account) private returns (uint256 nonce) {
        nonce = _useNonce(account);

        emit NonceSpent(account, nonce);
    }

    function _spendEpsilon(uint32 consentId, uint32 datasetId, uint64 budget, uint64 declared) private {
        uint64 spent = epsilonSpentMicro[datasetId];
        if (declared < spent) revert EpsilonFalls(datasetId, spent, declared);
        if (declared > budget) revert EpsilonExceeded(consentId, budget, declared);

        epsilonSpentMicro[datasetId] = declared;

        emit EpsilonSpent(datasetId, consentId, declared);
    }

    function _activeAdmin(uint32 hospitalId) private view returns (address) {
        IHospitalRegistry.Hospital memory hospital = hospitals.hospital(hospitalId);
        if (hospital.suspended) revert IHospitalRegistry.Suspended(hospitalId);
        return hospital.admin;
    }

    function _record(uint32 consentId) private view returns (Record storage record) {
        record = _records[consentId];
        if (record.hospitalId == 0) revert UnknownConsent(consentId);
    }

    function _check(Record storage stored, uint32 consentId, uint32 hospitalId, Purpose calldata purpose)
        private
        view
        returns (uint32 datasetId, uint32 roundsUsed)
    {
        Record memory record = stored;
        if (record.hospitalId != hospitalId) revert NotYourConsent(consentId, hospitalId);
        if (record.revoked) revert ConsentIsRevoked(consentId);
        if (block.timestamp >= record.expiresAt) revert ConsentExpired(consentId, record.expiresAt);
        if (record.roundsUsed >= record.maxRounds) revert ConsentExhausted(consentId, record.maxRounds);
        if (record.grantee != address(0) && record.grantee != purpose.researcher) {
            revert NotGrantee(consentId, record.grantee, purpose.researcher);
        }
        // Permissions are ordered from the widest: each allows itself and whatever follows it.
        if (purpose.permission < record.permission) {
            revert PurposeNotAllowed(consentId, record.permission, purpose.permission);
        }
        if (record.permission == Permission.DS && purpose.mondo != record.mondo) {
            revert DiseaseNotAllowed(consentId, record.mondo, purpose.mondo);
        }
        uint32 missing = record.modifiers & ~purpose.pledges;
        if (missing != 0) revert PledgesMissing(consentId, missing);
        if (record.modifiers & Duo.GS != 0 && purpose.region != record.region) {
            revert RegionNotAllowed(consentId, record.region, purpose.region);
        }
        return (record.datasetId, record.roundsUsed);
    }

    /// @dev Each disease and region is set if, and only if, the permission or modifier that speaks of it is.
    function _requireSound(Terms calldata terms) private view {
        if (
            (terms.mondo != 0) != (terms.permission == Permission.DS)
                || (terms.region != 0) != (terms.modifiers & Duo.GS != 0) || terms.modifiers & ~Duo.ALL != 0
                || terms.expiresAt <= block.timestamp || terms.maxRounds == 0
        ) revert BadTerms();
    }
}
