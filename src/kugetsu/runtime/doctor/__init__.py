"""`kugetsu doctor`: a module for each group of checks, which gives findings with their evidence and remedy."""
