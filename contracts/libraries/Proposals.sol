// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IConsentToken} from "../interfaces/IConsentToken.sol";
import {ITrainingJobs} from "../interfaces/ITrainingJobs.sol";
import {Duo} from "./Duo.sol";
import {Groups} from "./Groups.sol";

/// @title What makes a proposal consistent in itself
library Proposals {
    uint16 internal constant MAX_ROUNDS = 1000;
    uint8 internal constant MAX_HOSPITALS = 48;
    uint32 internal constant MAX_PHASE = 366 days;
    uint32 internal constant MAX_LANES = 1 << 26;

    /// @notice Reverts with `BadProposal` and the name of the first field that is wrong.
    function requireConsistent(ITrainingJobs.Proposal calldata proposal) external view {
        bytes32 field = _wrong(proposal);
        if (field == 0) return;
        uint256 length;
        while (field[length] != 0) ++length;
        bytes memory name = new bytes(length);
        for (uint256 i; i < length; ++i) {
            name[i] = field[i];
        }
        revert ITrainingJobs.BadProposal(string(name));
    }

    /// @dev The first field that is wrong; zero when none is. A word: building strings takes more code than all else here.
    function _wrong(ITrainingJobs.Proposal calldata proposal) private view returns (bytes32) {
        IConsentToken.Purpose calldata purpose = proposal.purpose;
        ITrainingJobs.MergeRule calldata rule = proposal.merge;
        if (proposal.specDigest == 0) return "specDigest";
        if (purpose.researcher != msg.sender) return "researcher";
        if ((purpose.permission == IConsentToken.Permission.DS) != (purpose.mondo != 0)) return "mondo";
        if (purpose.pledges & ~Duo.ALL != 0) return "pledges";
        if ((purpose.pledges & Duo.GS != 0) != (purpose.region != 0)) return "region";
        if ((purpose.pledges & Duo.IRB != 0) != (proposal.irbApproval != 0)) return "irbApproval";
        if (!_within(proposal.rounds, 1, MAX_ROUNDS)) return "rounds";
        if (!_within(proposal.maxHospitals, 1, MAX_HOSPITALS)) return "maxHospitals";
        if (!_within(rule.lanes, 1, MAX_LANES)) return "lanes";
        if (rule.serverStep == 0) return "serverStep";
        if (!_within(rule.groups, 1, Groups.MOST)) return "groups";
        // With two, each would learn the other's update from the sum.
        uint256 least = rule.masked || rule.groups > 1 ? Groups.SMALLEST : 1;
        if (!_within(proposal.minHospitals, least, proposal.maxHospitals)) return "minHospitals";
        if (proposal.gateBps > 10_000) return "gateBps";
        return _arePeriods(proposal.phases) ? bytes32(0) : bytes32("phases");
    }

    /// @dev A deadline that nobody lives to see would hold the reward for ever.
    function _arePeriods(ITrainingJobs.Phases calldata phases) private pure returns (bool) {
        return _within(phases.enrol, 1, MAX_PHASE) && _within(phases.submit, 1, MAX_PHASE)
            && _within(phases.merge, 1, MAX_PHASE) && _within(phases.check, 1, MAX_PHASE)
            && _within(phases.report, 1, MAX_PHASE) && _within(phases.pause, 1, MAX_PHASE);
    }

    function _within(uint256 value, uint256 least, uint256 most) private pure returns (bool) {
        return value >= least && value <= most;
    }
}
