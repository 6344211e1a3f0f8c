"""What if: a recorded queue lived again under other settings, by the production decisions on the production fold.

`recorder` reads a scenario off the log (arrivals, what attempts did, what people typed, how the machine was),
`simulation` lives it again, `comparison` holds both sides against each other. Pure: no clock, no file.
"""
