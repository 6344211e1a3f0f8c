"""Effects: processes, worktrees, the dispatcher, the runner and reconciliation."""
