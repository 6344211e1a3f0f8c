"""The pure core: events, machines, state, gates, decisions, invariants. No clock, no file, no process."""
