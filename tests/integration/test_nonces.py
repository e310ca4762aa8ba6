"""Several processes send from one account at once: no nonce is used twice, none is left out."""

from __future__ import annotations

import subprocess
import sys

from protocol.chain.client import Chain
from protocol.chain.deployment import Deployment
from tests.integration.stage import ROOT, Stage

SENDS = 6
SENDER = """
import sys
from pathlib import Path
from protocol.chain.accounts import Keystore
from protocol.chain.client import Chain
from protocol.chain.deployment import Deployment
rpc_url, deployment, keystore, password, sends = sys.argv[1:]
signer = Keystore(Path(keystore)).unlock("spender", Path(password).read_text().strip())
chain = Chain(rpc_url, Deployment.load(Path(deployment)), signer)
for _ in range(int(sends)):
    print(chain.send("RewardToken", "mint", signer.address, 1).tx_hash, flush=True)
"""


def test_processes_that_share_an_account_do_not_collide(stage: Stage) -> None:
    spender = stage.account("spender").address
    command = [
        *(sys.executable, "-c", SENDER, stage.rpc_url, str(stage.devnet.deployment_file)),
        *(str(stage.devnet.accounts.folder), str(stage.devnet.password_file), str(SENDS)),
    ]
    senders = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    chain = Chain(
        stage.rpc_url, Deployment.load(stage.devnet.deployment_file), stage.devnet.signer("spender")
    )
    sent = [chain.send("RewardToken", "mint", spender, 1).tx_hash for _ in range(SENDS)]
    for sender in senders:
        output, _ = sender.communicate(timeout=60)
        assert sender.returncode == 0
        sent += output.split()
    assert len(set(sent)) == 3 * SENDS
    transactions = [stage.chain.rpc.request("eth_getTransactionByHash", each) for each in sent]
    nonces = sorted(int(each["nonce"], 16) for each in transactions)
    assert nonces == list(range(nonces[0], nonces[0] + 3 * SENDS))
    assert stage.chain.token_balance("RewardToken", spender) == 3 * SENDS
