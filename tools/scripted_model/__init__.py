"""A model server that plays scripts: real agents can be run, shown and tested without any provider.

It speaks the OpenAI-compatible streaming chat protocol on 127.0.0.1 and needs nothing but the standard library. What it
answers stands in the user's own message, as a fenced block whose language is ``script`` (see `script.parse`).
"""
