"""The main job from beginning to end on a development network: `salus demo`, `make demo`."""
