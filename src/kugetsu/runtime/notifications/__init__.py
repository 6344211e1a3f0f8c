"""Notifications at work: read from the log, delivered to sinks by a process of its own, the courier."""
