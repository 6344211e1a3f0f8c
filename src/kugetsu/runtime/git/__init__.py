"""git for worktrees, by module: files read without git (checkouts, refs), running git (child, pins, command,
transport), clones (remotes, repositories), worktrees (worktrees, removal, rescue) and evidence of work."""
