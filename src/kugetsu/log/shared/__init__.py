"""The log that several hosts share: PostgreSQL holds it and is the arbiter of each append; each host keeps a mirror.

The mirror is a log in files, byte for byte, so that everything that only reads runs on it. It can be deleted and read
again, but it is a witness, too: a database that lost what a mirror has is noticed at the next append.
"""
