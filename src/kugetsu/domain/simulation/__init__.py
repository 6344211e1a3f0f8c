"""What if: rerun a recorded queue under other settings, with the production decisions on the production fold.

`recorder` reads a scenario from the log (arrivals, attempts, user actions, the machine's facts), `engine` simulates it,
`comparison` compares the two. Pure: no clock, no file.
"""
