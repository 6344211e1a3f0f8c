"""Campaigns of faults at random: what all have (`campaign`), that of commands (`typed`), of the loop (`loop`), and of
hosts that share a log (`hosts`)."""
