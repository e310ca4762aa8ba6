"""Pins are kept until the last job that needs them says so."""

from __future__ import annotations

from protocol.node.retention import Retained, releasable

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


def test_nothing_is_released_before_its_time() -> None:
    assert releasable({1: Retained(100, frozenset({A, B}))}, 100) == set()
    assert releasable({1: Retained(100, frozenset({A, B}))}, 101) == {A, B}


def test_what_another_job_still_needs_is_kept() -> None:
    jobs = {1: Retained(100, frozenset({A, B})), 2: Retained(200, frozenset({B, C}))}
    assert releasable(jobs, 150) == {A}
    assert releasable(jobs, 201) == {A, B, C}


def test_what_a_job_under_way_needs_is_kept_and_the_rest_goes() -> None:
    assert releasable({1: Retained(100, frozenset({A, B}))}, 101, [B, C]) == {A}
