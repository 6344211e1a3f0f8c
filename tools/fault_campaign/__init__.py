"""Campaigns of faults at random: what all have (`campaign`), that of commands (`typed`), that of the loop (`loop`)."""
