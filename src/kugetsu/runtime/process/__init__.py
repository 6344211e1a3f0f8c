"""Operating system processes: who lives (identity, lease), who ends what, and the lean phase of a runner."""
