"""What kugetsu does with git: clones, worktrees, the evidence of work, rescue branches; nothing deletes on a guess."""
