"""The job of bench_flower in Flower's simulation. Runs in Flower's own environment, so it knows nothing of Salus.

    FLOWER_JOB=JOB.npz build/flower/bin/python scripts/flower/run.py OUT.json STARTED

STARTED: when this process was started, seconds of the machine's monotonic clock. JOB.npz: `job` (JSON: hidden,
learning_rate, batch_size, local_epochs, rounds, clients), the initial tensors `state.NAME`, and for each client k
`train_x.k`, `train_y.k`, `held_out_x.k`, `held_out_y.k`. OUT.json: seconds of start-up, of each round and of the whole,
and the share of held-out records that the last model gets right.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import Any

import torch
from clients import arrays, client, job
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

OUT, STARTED = sys.argv[1], float(sys.argv[2])

server = ServerApp()


class Timed(FedAvg):
    """Notes when each round begins."""

    began: list[float]

    def configure_train(self, server_round: int, *arguments: Any) -> Any:
        self.began.append(time.monotonic())
        return super().configure_train(server_round, *arguments)


@server.main()
def main(grid: Grid, context: Context) -> None:
    del context
    clients = job()["clients"]
    strategy = Timed(min_train_nodes=clients, min_evaluate_nodes=clients, min_available_nodes=clients)
    strategy.began = []
    state = {
        name.removeprefix("state."): torch.from_numpy(array)
        for name, array in arrays().items()
        if name.startswith("state.")
    }
    result = strategy.start(grid, ArrayRecord(state), num_rounds=job()["rounds"])
    ended = time.monotonic()
    moments = [*strategy.began, ended]
    last = result.evaluate_metrics_clientapp[job()["rounds"]]
    with open(OUT, "w", encoding="utf-8") as file:
        json.dump(
            {
                "start_up": moments[0] - STARTED,
                "rounds": [after - before for before, after in pairwise(moments)],
                "seconds": ended - STARTED,
                "accuracy": last["accuracy"],
            },
            file,
        )


if __name__ == "__main__":
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=job()["clients"],
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0}},
    )
