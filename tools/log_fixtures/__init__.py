"""Makes the logs of tests/fixtures/logs again: real runs, of which the log is kept."""
