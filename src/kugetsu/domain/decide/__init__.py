"""`decide(state, intent, facts) -> new_events`: every decision of kugetsu, pure; a refusal is an error.

One module a subject: the queue, claims, attempts, sessions, the daemon. A decision reads the state and the facts
given, nothing else; its events carry those facts, so that it can be decided again from the log alone.
"""
