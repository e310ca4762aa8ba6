"""A hospital's store of anonymised instances: encrypted at rest, asked by SQL, streamed into training."""
