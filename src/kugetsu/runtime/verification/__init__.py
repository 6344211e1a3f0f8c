"""Verification: whether the committed work of a run passes VERIFY_COMMAND in a clean checkout."""
