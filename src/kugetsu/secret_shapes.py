"""`redaction.patterns`, for a daemon of an earlier version that outlives an upgrade and redacts its first text then.

In its process `kugetsu.redaction` is a module, below which nothing can be imported.
"""

from __future__ import annotations

import os
from importlib.util import module_from_spec, spec_from_file_location

_spec = spec_from_file_location(__name__, os.path.join(os.path.dirname(__file__), "redaction", "patterns.py"))
assert _spec is not None and _spec.loader is not None
_patterns = module_from_spec(_spec)
_spec.loader.exec_module(_patterns)
take_out = _patterns.take_out
