"""The quick start: from a fresh clone to six issues that real opencode agents have worked on, in one command."""
