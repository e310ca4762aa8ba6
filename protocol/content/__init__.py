"""Digests, Merkle trees and IPFS: bytes are named by their hash and used only after it was checked."""
