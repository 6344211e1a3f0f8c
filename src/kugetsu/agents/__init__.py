"""Coding agents behind one protocol: opencode, and any command line."""
