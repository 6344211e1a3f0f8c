"""Measures what kugetsu promises about speed and size, beside what it is compared with, in one run and one table."""
