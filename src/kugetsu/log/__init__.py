"""The append-only event log: its protocol, its engines, its checkpoint and its index."""
