"""What secrets look like: by their place (`user:password@` in URLs, headers, assignments) and by their shape (`ghp_…`).

Loaded by `redaction` only for a text that its quick look found suspicious, because of the import of `re` (6 ms). Every
pattern is linear: what one match attempt scans, no other one scans again, or the scan is bounded.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from kugetsu.model import REDACTED as MARK

_WORD = (
    r"(?:token|secret|passwd|password|passphrase|api_?-?key|access_?-?key|private_?-?key|secret_?-?key|credential"
    r"|(?<=_)(?:pass|pat|auth|pwd))"
)
#: What stands where a secret would: a variable, `%s`, `<token>`, dots or stars. Whoever reads a command should see it.
_REAL = r"(?!(?-i:\$\{?[A-Z_][A-Z0-9_]{2,60}\}?)(?![\w$])|%s(?![\w%])|<[\w -]{1,40}>|(?:…|\.{3}|\*{3,})(?![\w*]))"
_MADE_UP = r"(?=[^\s\"']{0,200}\d)"  # prose follows a colon too: what looks made up has a digit in it
_SHAPES = (
    r"gh[pousr]_[A-Za-z0-9]{16,}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{16,}",
    r"gl[a-z]{2,5}-[A-Za-z0-9_-]{16,}",  # GitLab
    r"sk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"xapp-[A-Za-z0-9-]{10,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS
    r"AIza[0-9A-Za-z_-]{35}",  # Google
    r"ya29\.[\w-]{20,}",
    r"(?:npm|hf)_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"dckr_pat_[A-Za-z0-9_-]{16,}",
    r"AGE-SECRET-KEY-[A-Z0-9]{20,}",
    r"\d{8,12}:AA[\w-]{30,}",  # Telegram's bots
    r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{4,}+",  # JSON web token
)
#: Shapes that are known wherever they begin, also behind letters (`tokenghp_…`): no word has such a piece in it.
_GLUED = (
    r"gh[pousr]_(?=[A-Za-z]{0,200}\d)[A-Za-z0-9]{16,}",
    r"github_pat_[A-Za-z0-9_]{16,}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|oas|soat|agent|rtr)-[A-Za-z0-9_-]{16,}",
    r"sk-(?:ant|proj|or|svcacct|admin)-[A-Za-z0-9_-]{16,}",
    r"(?:sk|rk)_(?:live|test)_(?=[A-Za-z]{0,200}\d)[A-Za-z0-9]{24,}",
    r"xox[abeprs]-\d[A-Za-z0-9-]{10,}",
    r"xapp-\d[A-Za-z0-9-]{10,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"ya29\.[\w-]{20,}",
    r"(?:npm|hf)_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"dckr_pat_[A-Za-z0-9_-]{16,}",
    r"AGE-SECRET-KEY-[A-Z0-9]{20,}",
)
#: A shape that somebody cut: too short to be known by its length, known by the sign of the cut.
_CUT_SHAPES = r"(?:gh[pousr]_|github_pat_|glpat-|sk-|xox[abeprs]-|AKIA|ASIA|AIza|npm_|hf_|eyJ)[\w-]{4,}+(?:…|\.{3})"


def _patterns() -> Iterator[tuple[re.Pattern[str], str]]:
    def one(pattern: str, replacement: str = rf"\1{MARK}", flags: int = re.IGNORECASE) -> tuple[re.Pattern[str], str]:
        return re.compile(pattern, flags | re.ASCII), replacement

    begin, end = (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        r"-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
    )
    yield one(rf"{begin}.*?(?:{end}|\Z)", MARK, re.DOTALL)
    # URLs: what one scans ends at the next slash, where another could begin.
    yield one(r"(https?://)[^\s/\"']+@", rf"\1{MARK}@")
    yield one(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/@:\"']*+:)[^\s/\"']+@", rf"\1{MARK}@")
    yield one(r"([?&](?:key|sig|signature|auth|x-amz-signature)=)[^\s\"'&]++")
    # Headers. A scheme that is not known may have its secret anywhere: the rest of the line goes.
    yield one(
        r"\b((?:proxy-)?authorization\\{0,8}[\"']?\s{0,5}[:=]\s{0,5}+\\{0,8}+[\"']?+)"
        r"(?:((?:bearer|basic|token|apikey|negotiate|ntlm)\s{1,5}+)"
        rf"{_REAL}[^\s\"',;\\]++|(?!(?:bearer|basic|token|apikey|negotiate|ntlm)\s){_REAL}[^\r\n\"'\\]++)",
        rf"\1\2{MARK}",
    )
    yield one(r"\b((?:set-)?cookie\\{0,8}[\"']?\s{0,5}:\s{0,5}\\{0,8}[\"']?)[^\r\n\"'\\]++")
    yield one(
        r"\b((?:x-api-key|private-token|x-[\w-]{0,30}?token)\\{0,8}[\"']?\s{0,5}[:=]\s{0,5}+\\{0,8}+[\"']?+)"
        rf"{_REAL}[^\s\"',;\\]++"
    )
    yield one(r"\b(bearer\s{1,5})[A-Za-z0-9._~+/=-]{16,}")
    # Assignments. `=` assigns whatever follows; a `:` or a spaced `=` may be prose, unless quotes say otherwise.
    for quote in "\"'":
        yield one(rf"({_WORD}[\"']?\s{{0,5}}=(?!=)\s{{0,5}}+{quote}){_REAL}(?:[^{quote}\\\n]|\\.)++")
        yield one(rf"({_WORD}[\"']\s{{0,5}}:\s{{0,5}}+{quote}){_REAL}(?:[^{quote}\\\n]|\\.)++")
    yield one(rf"({_WORD}\\{{1,8}}[\"']\s{{0,5}}[:=]\s{{0,5}}\\{{1,8}}[\"']){_REAL}[^\s\"'\\]++")
    yield one(rf"({_WORD}s?[\"']?=)(?!=)(?!(?<=ns=)\d{{1,9}}\b){_REAL}[^\s\"'&;,]++")
    yield one(rf"({_WORD}[\"']?\s{{1,5}}=(?!=)\s{{0,5}}){_MADE_UP}[^\s\"',;&]{{8,}}")
    yield one(rf"({_WORD}[\"']?\s{{0,2}}:\s{{0,5}}[\"']?){_MADE_UP}[^\s\"',]{{8,}}")
    # Arguments of programs, and ~/.netrc.
    yield one(rf"((?<![\w-])--?[\w-]{{0,40}}?{_WORD}\s{{1,5}}+[\"']?+)(?![-\"']){_REAL}[^\s\"']++")
    yield one(r"((?<![\w-])(?:-u|--user|--proxy-user)[\s=]{1,5}[\"']?[^\s:\"'/]{1,200}:)(?!\d{1,6}(?!\w))[^\s\"']++")
    yield one(r"(\blogin\s{1,5}\S{1,200}\s{1,5}password\s{1,5})\S++")
    yield one(rf"(?<![A-Za-z0-9])(?:{'|'.join(_SHAPES)})", MARK, 0)
    yield one("|".join(_GLUED), MARK, 0)
    # A JSON web token: each of its first two parts is an object, which begins with `{"`.
    yield one(r"(?<![\w.-])([\w-]{1,40}?)eyJ[\w-]{8,}+\.eyJ[\w-]{4,}+\.[\w-]{4,}+", flags=0)
    yield one(rf"(?<![\w-]){_CUT_SHAPES}", f"{MARK}…", 0)


_COMPILED = list(_patterns())
_END_OF_KEY = re.compile(
    r"(?<![A-Za-z0-9+/=\\])(?:[A-Za-z0-9+/=]|\\n)*+-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
)
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")
_BASIC = re.compile(r"\b(basic\s{1,5})([A-Za-z0-9+/]{6,}+={0,2})", re.IGNORECASE | re.ASCII)


def take_out(text: str) -> str:
    """The text without what looks like a secret, or stands where one stands."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    if "-----END " in text:
        text = _without_ends_of_keys(text)
    return _BASIC.sub(_basic, text)


def _without_ends_of_keys(text: str) -> str:
    """Private keys whose beginning was cut off: the lines of base64 before an end."""
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        if "-----END " in line and _END_OF_KEY.search(line) is not None:
            while kept and _KEY_LINE.fullmatch(kept[-1].strip()) is not None:
                kept.pop()
            line = _END_OF_KEY.sub(MARK, line)
        kept.append(line)
    return "".join(kept)


def _basic(match: re.Match[str]) -> str:
    """`Basic` followed by the base64 of `user:password`; other words that follow it stay."""
    try:
        plain = binascii.a2b_base64(match[2] + "=" * (-len(match[2]) % 4))
    except binascii.Error:
        return match[0]
    return f"{match[1]}{MARK}" if b":" in plain and plain.isascii() else match[0]
