"""The driver of PostgreSQL, of the extra `kugetsu[hosts]`: imported from here, or there is an error with the remedy."""

from __future__ import annotations

from kugetsu.model.errors import LogUnreachable

try:
    import psycopg
    from psycopg import conninfo
except ImportError as missing:
    raise LogUnreachable(
        f"a log that is shared over PostgreSQL needs its driver, which is missing ({missing})",
        "in kugetsu's checkout: pipx install --force '.[hosts]', or with the pip of its environment: "
        "pip install '.[hosts]'",
    ) from missing

__all__ = ["conninfo", "psycopg"]
