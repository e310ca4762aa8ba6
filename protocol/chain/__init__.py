"""The chain's side of the protocol: typed calls, signed transactions, events, and refusals in words."""
