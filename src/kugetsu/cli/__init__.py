"""Parse the command line, call the capability, render what it returns."""
