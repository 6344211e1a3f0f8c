"""Names under which a daemon of an earlier version that outlives an upgrade starts programs."""
