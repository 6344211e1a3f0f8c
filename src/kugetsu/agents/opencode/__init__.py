"""opencode behind the `Agent` protocol: its program, files, sessions, output and verdicts."""
