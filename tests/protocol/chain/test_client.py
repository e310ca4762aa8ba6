"""The client against a real chain: connecting, calling, sending, and what it refuses."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from protocol.chain.client import Chain
from protocol.chain.consents import Consents
from protocol.chain.datasets import Datasets
from protocol.chain.deployment import Deployment
from protocol.chain.development import DevSigner, advance
from protocol.chain.hospitals import Hospitals
from protocol.chain.rpc import Rpc
from protocol.chain.sending import Fees
from protocol.errors import (
    AccountError,
    ChainError,
    ChainUnreachable,
    InsufficientFunds,
    InvalidInput,
    Refused,
    WrongChain,
)

from .conftest import TOKEN, World, key_of, signer_of, terms_of, version_of


def test_refuses_a_chain_with_another_id(world: World) -> None:
    with pytest.raises(WrongChain, match="serves chain 1337; the deployment is on chain 5"):
        Chain(world.url, replace(world.deployment, chain_id=5))


def test_refuses_a_chain_with_another_genesis(world: World) -> None:
    with pytest.raises(WrongChain, match="began with block"):
        Chain(world.url, replace(world.deployment, genesis_hash="0x" + "11" * 32))


def test_refuses_a_chain_without_our_contracts(world: World) -> None:
    stranger = signer_of("stranger").address
    wrong = replace(world.deployment, contracts={**world.deployment.contracts, "TrainingJobs": stranger})
    with pytest.raises(WrongChain, match=rf"no contract at {stranger} \(TrainingJobs\)"):
        Chain(world.url, wrong)


def test_says_when_no_node_answers(world: World) -> None:
    with pytest.raises(ChainUnreachable, match="does not answer"):
        Chain("http://127.0.0.1:9", world.deployment)


def test_refuses_a_url_that_is_none(world: World) -> None:
    with pytest.raises(InvalidInput, match="not the URL"):
        Chain("localhost:8545", world.deployment)


def test_reading_needs_no_account_and_sending_does(world: World) -> None:
    assert Hospitals(world.chain).hospital(1).operator == signer_of("operator-1").address
    with pytest.raises(AccountError, match="needs an account"):
        Datasets(world.chain).register(version_of())


def test_a_doomed_transaction_is_refused_in_words_and_never_sent(world: World) -> None:
    chain = world.as_("stranger")
    nonce = chain.rpc.request("eth_getTransactionCount", signer_of("stranger").address, "latest")
    with pytest.raises(Refused) as refusal:
        Datasets(chain).register(version_of())
    assert refusal.value.name == "NotOperator"
    assert refusal.value.arguments == {"account": signer_of("stranger").address}
    assert (
        refusal.value.message
        == f"Account {signer_of('stranger').address} is not the operator of any hospital."
    )
    assert "salus hospital list" in refusal.value.hint
    assert chain.rpc.request("eth_getTransactionCount", signer_of("stranger").address, "latest") == nonce


def test_a_call_is_refused_in_words(world: World) -> None:
    with pytest.raises(Refused, match="There is no hospital 99") as refusal:
        Hospitals(world.chain).hospital(99)
    assert refusal.value.name == "UnknownHospital"


def test_many_calls_in_one_round_trip(world: World) -> None:
    chain = world.chain
    results = chain.call_many(
        [("HospitalRegistry", "hospitalCount", ()), ("DatasetRegistry", "datasetCount", ())]
    )
    assert results == [3, 0]
    assert chain.call_many([]) == []
    with pytest.raises(Refused, match="no hospital 77"):
        chain.call_many([("HospitalRegistry", "hospitalCount", ()), ("HospitalRegistry", "hospital", (77,))])


def test_a_receipt_tells_what_happened(world: World) -> None:
    chain = world.as_("operator-1")
    receipt = Datasets(chain).register(version_of(records=120))
    event = receipt.event("DatasetVersionRegistered")
    assert event.args["hospitalId"] == 1
    assert event.args["content"]["trainRecords"] == 120
    assert event.place == (receipt.block, event.log_index)
    assert 60_000 < receipt.gas_used < 130_000
    assert receipt.fee_wei > receipt.gas_used
    assert receipt.timestamp == chain.timestamp(receipt.block)
    assert chain.cost_of(receipt.tx_hash) == ("DatasetRegistry.register", receipt.gas_used)
    with pytest.raises(ChainError, match="without the event JobProposed"):
        receipt.event("JobProposed")


def test_two_signers_share_a_connection(world: World) -> None:
    chain = world.as_("operator-1")
    other = chain.with_signer(signer_of("operator-2"))
    assert other.rpc is chain.rpc
    assert chain.signer.address == signer_of("operator-1").address
    receipt = Datasets(other).register(version_of())
    assert receipt.event("DatasetVersionRegistered").args["hospitalId"] == 2


def test_transfers_and_balances(world: World) -> None:
    chain = world.as_("stranger")
    to = signer_of("payout-1").address
    before = chain.balance(to)
    receipt = chain.transfer(to, 7)
    assert chain.balance(to) == before + 7
    assert receipt.gas_used == 21_000
    assert chain.token_balance("VoteToken", signer_of("holder-1").address) == 600 * TOKEN


def test_insufficient_funds_are_named_with_the_figure(world: World) -> None:
    chain = world.as_("payout-1")
    world.as_("stranger").transfer(chain.signer.address, 10**12)
    with pytest.raises(
        InsufficientFunds, match=r"holds 0\.000001 ETH; the transaction may cost up to"
    ) as error:
        chain.send("RewardToken", "mint", chain.signer.address, 1)
    assert chain.signer.address in error.value.message
    with pytest.raises(InsufficientFunds):
        chain.transfer(signer_of("stranger").address, 10**18)


def test_warns_when_an_account_runs_low(world: World, caplog: pytest.LogCaptureFixture) -> None:
    address = signer_of("payout-2").address
    world.as_("stranger").transfer(address, TOKEN)
    with caplog.at_level(logging.WARNING, logger="protocol.chain.sending"):
        receipt = world.as_("payout-2").send("RewardToken", "mint", address, 1)
        assert not caplog.records
        chain = world.as_("payout-2")
        chain.rpc.request("evm_setAccountBalance", address, hex(receipt.gas_used * max_fee(chain) * 6))
        chain.send("RewardToken", "mint", address, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"account {address} runs low" in caplog.text
    assert key_of("payout-2") not in caplog.text


def max_fee(chain: Chain) -> int:
    return Fees(chain.rpc).current()["maxFeePerGas"]


def test_a_development_account_is_signed_for_by_the_node(world: World) -> None:
    chain = world.chain.with_signer(DevSigner(signer_of("operator-3").address))
    receipt = Datasets(chain).register(version_of())
    assert receipt.event("DatasetVersionRegistered").args["hospitalId"] == 3
    with pytest.raises(Refused, match="is not the admin"):
        Hospitals(chain).rotate_operator(signer_of("stranger").address)


def test_a_development_account_is_refused_elsewhere(world: World) -> None:
    public = Chain.__new__(Chain)
    public.__dict__.update(world.chain.__dict__)
    public.deployment = replace(world.deployment, chain_id=11155111)
    with pytest.raises(WrongChain, match="no development chain"):
        public.with_signer(DevSigner(signer_of("operator-3").address))
    with pytest.raises(WrongChain, match="no development chain"):
        advance(public, 10)
    with pytest.raises(InvalidInput, match="not an address"):
        DevSigner("operator-3")


def test_deadlines_pass_on_an_idle_development_chain(world: World) -> None:
    """Ganache estimates at the time of its newest block; a consent that expires with no block in between shows it."""
    chain = world.as_("admin-1")
    dataset_id = world.register(1)
    consents = Consents(chain)
    now = chain.now()
    consents.mint(terms_of(chain, dataset_id, expires_at=now + 3))
    assert consents.live([1]) == 1
    deadline = time.monotonic() + 15
    while chain.now() < now + 3:
        assert time.monotonic() < deadline, "the chain's time stands still"
        time.sleep(0.2)
    assert consents.live([1]) == 0


def test_a_refusal_that_only_time_explains_is_looked_at_again(world: World) -> None:
    chain = world.as_("admin-1")
    signer = signer_of("admin-1")
    dataset_id = world.register(1)
    consents = Consents(chain)
    chain.rpc.request("evm_increaseTime", 100)
    # The newest block is still the old one, so a call sees a deadline ahead that the next block has passed.
    signed = consents.sign_terms(signer, terms_of(chain, dataset_id), 0, chain.now() + 50)
    with pytest.raises(Refused):
        consents.mint_by_signature(signed)


def test_now_never_goes_back_and_head_lags_by_the_confirmations(world: World) -> None:
    chain = world.chain
    before = chain.now()
    advance(chain, 1000)
    assert chain.now() >= before + 1000
    lagging = Chain(world.url, world.deployment, confirmations=2)
    assert lagging.head() == chain.head() - 2
    with pytest.raises(InvalidInput, match="not possible"):
        Chain(world.url, world.deployment, confirmations=-1)
    with pytest.raises(ChainError, match="no block"):
        chain.timestamp(10**9)


def test_timestamps_of_many_blocks_take_one_round_trip(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one, together = world.chain, world.chain
    blocks = range(1, one_by_one.head() + 1)
    together.clock.read_timestamps(blocks)
    monkeypatch.setattr(together.rpc, "_provider", None)
    assert [together.timestamp(each) for each in blocks] == [one_by_one.timestamp(each) for each in blocks]
    together.clock.read_timestamps(blocks)


def test_waits_for_confirmations(world: World) -> None:
    chain = world.as_("operator-1", confirmations=2, timeout_seconds=20)
    miner = threading.Thread(target=_mine, args=(world.url, 3))
    miner.start()
    receipt = Datasets(chain).register(version_of())
    assert chain.head() >= receipt.block
    miner.join()


def _mine(url: str, blocks: int) -> None:
    for _ in range(blocks):
        time.sleep(0.5)
        Rpc(url).request("evm_mine")


def test_processes_share_one_account(world: World, tmp_path: Path) -> None:
    """No nonce is used twice or left out, however the processes interleave."""
    file = tmp_path / "deployment.json"
    world.deployment.save(file)
    context = multiprocessing.get_context("fork")
    each = 4
    arguments = (world.url, file, world.lock_folder, key_of("operator-2"), each)
    processes = [context.Process(target=_register, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert Datasets(world.chain).count() == 3 * each
    assert len(Datasets(world.chain).ids_of_hospital(2)) == 3 * each


def _register(url: str, file: Path, locks: Path, key: str, times: int) -> None:
    from protocol.chain.accounts import Signer

    datasets = Datasets(Chain(url, Deployment.load(file), Signer.from_key(key), lock_folder=locks))
    for _ in range(times):
        datasets.register(version_of())
