"""What a log tells when it is read for its troubles: lost races, broken invariants, retries, time spent waiting.

Each part takes the events in one pass, with bounded memory, and knows nothing of files or of the time that it is.
"""
