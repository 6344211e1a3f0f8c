"""The log in files: append, read, index, snapshots, verify and repair."""
