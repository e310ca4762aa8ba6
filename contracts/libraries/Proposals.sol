// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IConsentToken} from "../interfaces/IConsentToken.sol";
import {ITrainingJobs} from "../interfaces/ITrainingJobs.sol";
import {Duo} from "./Duo.sol";

/// @title What makes a proposal consistent in itself
library Proposals {
    uint16 internal constant MAX_ROUNDS = 1000;
    uint8 internal constant MAX_HOSPITALS = 48;
    uint32 internal constant MAX_PHASE = 366 days;
    uint32 internal constant MAX_LANES = 1 << 26;
    uint8 internal constant MAX_GROUPS = 16;
    uint8 internal constant MIN_MASKED = 3;

    /// @notice Reverts with `BadProposal` and the name of the first field that is wrong.
    function requireConsistent(ITrainingJobs.Proposal calldata proposal) internal view {
        IConsentToken.Purpose calldata purpose = proposal.purpose;
        ITrainingJobs.Phases calldata phases = proposal.phases;
        _require(proposal.specDigest != 0, "specDigest");
        _require(purpose.researcher == msg.sender, "researcher");
        _require(
            (purpose.permission == IConsentToken.Permission.DS) == (purpose.mondo != 0), "mondo"
        );
        _require(purpose.pledges & ~Duo.ALL == 0, "pledges");
        _require((purpose.pledges & Duo.GS != 0) == (purpose.region != 0), "region");
        _require((purpose.pledges & Duo.IRB != 0) == (proposal.irbApproval != 0), "irbApproval");
        _require(proposal.rounds != 0 && proposal.rounds <= MAX_ROUNDS, "rounds");
        _require(proposal.maxHospitals != 0 && proposal.maxHospitals <= MAX_HOSPITALS, "maxHospitals");
        ITrainingJobs.MergeRule calldata rule = proposal.merge;
        _require(rule.lanes != 0 && rule.lanes <= MAX_LANES, "lanes");
        _require(rule.serverStep != 0, "serverStep");
        _require(rule.groups != 0 && rule.groups <= MAX_GROUPS, "groups");
        // With two, each would learn the other's update from the sum.
        uint8 least = rule.masked || rule.groups > 1 ? MIN_MASKED : 1;
        _require(proposal.minHospitals >= least && proposal.minHospitals <= proposal.maxHospitals, "minHospitals");
        _require(proposal.gateBps <= 10_000, "gateBps");
        _require(
            _isPeriod(phases.enrol) && _isPeriod(phases.submit) && _isPeriod(phases.merge) && _isPeriod(phases.check)
                && _isPeriod(phases.report) && _isPeriod(phases.pause),
            "phases"
        );
    }

    /// @dev A deadline that nobody lives to see would hold the reward for ever.
    function _isPeriod(uint32 phase) private pure returns (bool) {
        return phase != 0 && phase <= MAX_PHASE;
    }

    function _require(bool holds, string memory field) private pure {
        if (!holds) revert ITrainingJobs.BadProposal(field);
    }
}
