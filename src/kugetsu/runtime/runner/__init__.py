"""A runner works one attempt: prepare, spawn the agent, supervise it, finalize."""
