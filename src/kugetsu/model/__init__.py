"""Plain values that every layer knows: references, servers, settings, paths, times, errors."""
