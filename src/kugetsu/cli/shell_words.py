"""A command line as bash has it while it is being typed: its words, and how a candidate goes back into it."""

from __future__ import annotations

#: What bash takes apart or expands in a word that stands in no quotes.
_SPECIAL = frozenset("\\'\"$`!&;|<>()*?[]{} \t\n")
_BLANK = " \t\n"


class Line:
    """``words`` before the cursor's, without the command; ``current`` the cursor's, unquoted up to it. ``redirected``:
    it is the name of a file behind < or >.

    ``text`` is the line up to the cursor, ``replaced`` the end of it that bash will replace: what follows the last
    of COMP_WORDBREAKS, without an opening quote. None: the whole word.
    """

    def __init__(self, text: str, replaced: str | None) -> None:
        self.quote = ""
        self.redirected = False
        self._words: list[str] = []
        self._word: list[str] | None = None
        self._read(text)
        self.current = "".join(self._word or [])
        self.words = self._words[1:]
        if replaced is None:
            self._kept = 0
        else:
            self._kept = max(len(self.current) - len(_unquoted(replaced, self.quote)), 0)

    def _read(self, text: str) -> None:
        at = 0
        while at < len(text):
            char = text[at]
            at += 1
            if self.quote:
                at = self._quoted(text, char, at)
            elif char in _BLANK:
                self._end()
            elif char in "<>":
                if self._word is not None and not "".join(self._word).strip("&0123456789"):
                    self._word = None  # the number of the descriptor
                self._end()
                self.redirected = True
            else:
                self._word = self._word if self._word is not None else []
                if char in "'\"":
                    self.quote = char
                elif char == "\\":
                    self._word.append(text[at : at + 1])
                    at += 1
                else:
                    self._word.append(char)

    def _quoted(self, text: str, char: str, at: int) -> int:
        assert self._word is not None
        if char == self.quote:
            self.quote = ""
        elif char == "\\" and self.quote == '"' and text[at : at + 1] in ("\\", '"', "$", "`"):
            self._word.append(text[at : at + 1])
            at += 1
        else:
            self._word.append(char)
        return at

    def _end(self) -> None:
        if self._word is None:
            return
        if not self.redirected:
            self._words.append("".join(self._word))
        self._word = None
        self.redirected = False

    def insertion(self, value: str) -> str:
        """What bash is to put in the place of what it replaces, so that the word becomes ``value``."""
        rest = value[self._kept :]
        if self.quote == "'":
            return rest.replace("'", "'\\''")
        if self.quote == '"':
            return "".join("\\" + char if char in '\\"$`' else char for char in rest)
        text = "".join("\\" + char if char in _SPECIAL else char for char in rest)
        return "\\" + text if not self._kept and text[:1] in ("#", "~") else text


def _unquoted(text: str, quote: str) -> str:
    """``text`` as bash reads it behind an opening ``quote`` (none when that is empty)."""
    return Line(quote + text, None).current


def unquoted(word: str) -> str:
    """A word that is being typed, without its quotes; the last one may still be open."""
    return Line(word, None).current
