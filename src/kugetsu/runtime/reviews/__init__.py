"""Reviews: what the forge and git show of the work of sessions, and the process that looks at them again and again."""
