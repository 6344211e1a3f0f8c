"""The one funnel through which texts pass before they are kept or shown: secrets are taken out.

It knows secrets by their place (`user:password@` in URLs, Authorization headers, assignments to names such as
GITEA_TOKEN) and by their shape (`ghp_…`, `sk-…`, private keys). Values that are known to be secret are given.
All patterns are bounded, so that the time grows with the length of the text and no faster.
"""

from __future__ import annotations

import os.path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from re import Pattern

MARK = "[redacted]"
SHORTEST = 6  # a shorter value (a port, "true") would blank out ordinary words all over a text

_NAMES = r"[\w-]{0,64}?(?:token|secret|passwd|password|passphrase|api_?-?key|access_?-?key|private_?-?key|credential)"
_SHAPES = (
    r"gh[pousr]_[A-Za-z0-9]{16,255}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{16,255}",
    r"glpat-[A-Za-z0-9_-]{16,255}",  # GitLab
    r"sk-[A-Za-z0-9_-]{16,255}",  # OpenAI, Anthropic, OpenRouter
    r"xox[abeprs]-[A-Za-z0-9-]{10,255}",  # Slack
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS
    r"AIza[0-9A-Za-z_-]{35}",  # Google
    r"(?:npm|hf)_[A-Za-z0-9]{30,255}",
    r"eyJ[\w-]{8,2000}\.[\w-]{8,4000}\.[\w-]{4,2000}",  # JSON web token
)
_patterns: list[tuple[Pattern[str], str]] = []


def redact(text: str, secrets: Iterable[str] = (), *, limit: int | None = None) -> str:
    """The text without its secrets, cut to `limit` characters (with a note of how many were left out).

    `secrets` are values known to be secret; those shorter than SHORTEST are not looked for.
    """
    for secret in sorted((s for s in secrets if len(s) >= SHORTEST), key=len, reverse=True):
        text = text.replace(secret, MARK)
    for pattern, replacement in _compiled():
        text = pattern.sub(replacement, text)
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}… ({len(text) - limit} characters more)"
    return text


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """The values of an environment whose names say that they are secret."""
    import re

    name = re.compile(_NAMES, re.IGNORECASE)
    return [value for key, value in environment.items() if name.search(key) and not os.path.isabs(value)]


def _compiled() -> list[tuple[Pattern[str], str]]:
    if not _patterns:
        import re

        def add(pattern: str, replacement: str, flags: int = re.IGNORECASE) -> None:
            _patterns.append((re.compile(pattern, flags), replacement))

        add(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
            MARK,
            re.DOTALL,
        )
        add(r"(https?://)[^\s/@\"']{1,500}@", rf"\1{MARK}@")
        add(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/@:\"']{0,100}:)[^\s/@\"']{1,500}@", rf"\1{MARK}@")
        add(
            r"\b((?:proxy-)?authorization|x-api-key|private-token)([\"']?\s{0,5}[:=]\s{0,5}[\"']?)"
            r"((?:bearer|basic|token|digest)\s{1,5})?[^\s\"',;]{1,4000}",
            rf"\1\2\3{MARK}",
        )
        add(r"\b(bearer\s{1,5})[A-Za-z0-9._~+/=-]{16,4000}", rf"\1{MARK}")
        # `=` assigns; a `:` may be prose, so there the value must look made up: 8 characters with a digit among them.
        add(rf"\b({_NAMES}s?[\"']?=)(\"[^\"\n]{{1,4000}}\"|'[^'\n]{{1,4000}}'|[^\s\"'&;,]{{1,4000}})", rf"\1{MARK}")
        add(rf"\b({_NAMES}[\"']?:\s{{0,5}}[\"']?)(?=[^\s\"']{{0,200}}\d)[^\s\"',]{{8,4000}}", rf"\1{MARK}")
        add(rf"(?<![A-Za-z0-9])(?:{'|'.join(_SHAPES)})", MARK, 0)
    return _patterns
