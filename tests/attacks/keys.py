"""Stolen job keys and colluders: how much of one hospital's update each can read.

The measure is the cosine between what the attacker computes and the hospital's update before it was masked: 1 is the
update itself, 0 is nothing. The update is that of a CNN, as in `inversion`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocol.learning.masks import JobKey, mask
from tests.attacks.inversion import HOSPITALS, Round, played

VICTIM = 0


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Between int32[lanes] each."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y) + 1e-12))


def unmasked(game: Round, masked: np.ndarray, owner: int, key: JobKey) -> np.ndarray:
    """What is left when the streams of ``owner`` that ``key`` opens are taken off, int32[lanes]: masking nothing gives
    the streams alone."""
    streams = mask(np.zeros_like(masked), game.context, owner + 1, key)
    return (masked.view(np.uint32) - streams.view(np.uint32)).view(np.int32)


def run(seed: int = 1) -> dict[str, float]:
    """Cosine with the victim's update, by what the attacker has."""
    game = played(10, seed)
    truth, sent = game.unmasked[VICTIM], game.masked[VICTIM]
    others = [i for i in range(HOSPITALS) if i != VICTIM]
    total = sum(update.view(np.uint32) for update in game.masked).astype(np.uint32)
    without_others = total - sum(game.unmasked[i].view(np.uint32) for i in others).astype(np.uint32)
    # One colluder knows its own stream with the victim, and takes it off.
    colluder = others[0]
    pair = mask(np.zeros_like(sent), game.context, colluder + 1, game.keys[colluder])
    one_off = (sent.view(np.uint32) + pair.view(np.uint32)).view(np.int32)
    return {
        "anybody, from the masked update": cosine(sent, truth),
        "one colluder of the two others": cosine(one_off, truth),
        "both others together": cosine(without_others.view(np.int32), truth),
        "a thief with the hospital's job key": cosine(unmasked(game, sent, VICTIM, game.keys[VICTIM]), truth),
        "a thief with its key of another job": _with_wrong_key(game, sent),
    }


def _with_wrong_key(game: Round, sent: np.ndarray) -> float:
    """The product refuses a key that is not registered; a thief's own code would not."""
    key = JobKey.new()
    keys = (*game.context.mask_keys[:VICTIM], key.public, *game.context.mask_keys[VICTIM + 1 :])
    streams = mask(np.zeros_like(sent), replace(game.context, mask_keys=keys), VICTIM + 1, key)
    return cosine((sent.view(np.uint32) - streams.view(np.uint32)).view(np.int32), game.unmasked[VICTIM])
