"""Secrets are removed from texts before they are kept or shown: one funnel, known values, patterns."""
