"""Learning: the model zoo, the integer state, local training, the merge and the metrics.

``fixed_point`` and ``merge`` are plain integer arithmetic on numpy arrays; only ``zoo``, ``train`` and
``metrics`` use torch.
"""
