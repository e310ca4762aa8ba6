"""What a monitoring system may ask a node: Prometheus metrics, and whether it is well. On loopback alone.

Only counts, times and numbers of jobs: nothing of a record, and neither loss nor accuracy, which say something of the
hospital's data. ``/metrics`` is the Prometheus text format; ``/healthz`` answers 200, or 503 with the reason.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from protocol.errors import NodeError

if TYPE_CHECKING:
    from protocol.node.node import Node

LOOPBACK = "127.0.0.1"
# On top of the longest training that the policy allows: a look at chain and content, or a wait for either.
PATIENCE_SECONDS = 120


class NodeCollector:
    """A node's figures, read when they are asked for."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def collect(self) -> Iterator[Metric]:
        """Everything but what `health` alone says. Prometheus calls it at each scrape."""
        node = self.node
        hospital = GaugeMetricFamily(
            "salus_node_start_time_seconds", "When the node started.", labels=["hospital"]
        )
        hospital.add_metric([str(node.hospital_id)], node.status.since)
        yield hospital
        yield GaugeMetricFamily(
            "salus_node_look_time_seconds", "When the node last looked at its jobs.", value=node.turned_at
        )
        yield GaugeMetricFamily(
            "salus_node_in_trouble",
            "1 while the node waits for a chain or daemon that fails.",
            value=float(bool(node.trouble)),
        )
        yield GaugeMetricFamily("salus_node_jobs", "Jobs under way.", value=len(node.workers))
        yield GaugeMetricFamily(
            "salus_node_jobs_refused", "Jobs that the node is not in, and says why.", value=len(node.refusals)
        )
        yield CounterMetricFamily(
            "salus_node_reorganisations",
            "Reorganisations of the chain that took back what was read.",
            value=len(node.watch.reorganisations),
        )
        steps = CounterMetricFamily(
            "salus_node_steps", "Steps taken since the start: submit, merge, attest …", labels=["step"]
        )
        for name, count in sorted(dict(node.steps).items()):
            steps.add_metric([name], count)
        yield steps
        yield from self._jobs()

    def _jobs(self) -> Iterator[Metric]:
        rounds = GaugeMetricFamily("salus_job_round", "The round last trained or reported.", labels=["job"])
        training = GaugeMetricFamily("salus_job_training_seconds", "Its local training.", labels=["job"])
        gas = CounterMetricFamily("salus_job_gas", "Gas used in the job since the start.", labels=["job"])
        for job_id, progress in sorted(dict(self.node.status.jobs).items()):
            rounds.add_metric([str(job_id)], progress["round"])
            training.add_metric([str(job_id)], progress["train_seconds"])
            gas.add_metric([str(job_id)], progress["gas_used"])
        yield from (rounds, training, gas)


def ailment(node: Node, now: float) -> str:
    """Why a node is not well at ``now`` (unix seconds); empty when it is."""
    if node.trouble:
        return node.trouble
    silent = now - node.turned_at
    if silent > node.policy.max_round_seconds + PATIENCE_SECONDS:
        return f"The node has not looked at its jobs for {silent:.0f} s."
    return ""


class Endpoint:
    """Serves ``/metrics`` and ``/healthz`` of a node on a loopback port, 0 for any that is free. Use as a context.

    Raises NodeError when the port is taken.
    """

    def __init__(self, node: Node, port: int) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(NodeCollector(node))
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), _handler(node, registry))
        except OSError as error:
            raise NodeError(
                f"Port {port} of {LOOPBACK} cannot be listened on: {error.strerror}.",
                "Give --metrics-port another one.",
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_port)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(node: Node, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path == "/healthz":
                reason = ailment(node, time.time())
                said = {"ok": not reason, "doing": node.status.doing, "reason": reason}
                self._answer(503 if reason else 200, "application/json", json.dumps(said).encode())
            else:
                self._answer(404, "text/plain", b"There are /metrics and /healthz.\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
