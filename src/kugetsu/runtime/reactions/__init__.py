"""Reactions: what is new on a session's pull request, and the turns that answer it."""
