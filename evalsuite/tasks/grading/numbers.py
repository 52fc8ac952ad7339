r"""Reads a short LaTeX text that is one number: the whole text is matched, not searched for digits.

The text is rewritten to plain characters (full-width and other scripts' digits, dashes, superscripts, vulgar fractions,
LaTeX styles and text), split into tokens, and the kinds of all tokens together must match ``_SHAPE``: words, currency,
signs and brackets, one number (with thousands separators, a power of ten, a fraction), a unit. So ``-US\$18`` is -18,
``18\frac{1}{2}`` is 18.5, and ``x+18``, ``>18``, ``\pm18``, ``18\pi`` and ``3 or 4`` are none.
``expression`` finds constant arithmetic among the other texts, for ``grading.expressions``.
"""

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

_TEXT_MARK = "\ue000"
"""Stands before each word that was in text mode: a letter there is a unit, not a variable."""
_OPEN_FRACTION, _CLOSE_FRACTION = "\ue001", "\ue002"
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_CHARACTERS = {
    "º": "°",
    "˚": "°",
    "\u066b": ".",
    "\u066c": ",",
    "。": ".",
    "\u00d7": r"\times ",
    "÷": r"\div ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "≈": "=",
    "≃": "=",
    "≅": "=",
    "\u223c": "=",
    "\u2044": "/",
    "\u2215": "/",
    "\u02bc": "'",
}


def _written(character: str) -> str:
    r"""Return one character as the plain characters or LaTeX that this module reads: digits, ``^{2}``, ``\frac{1}{2}``.

    The characters of ``_CHARACTERS`` become what it states; ASCII is unchanged. Superscripts (also in one character for
    a unit, such as ㎡), subscripts and vulgar fractions become LaTeX, decimal digits of other scripts 0 to 9, invisible
    formatting characters empty, characters for private use U+FFFD, and all others their Unicode NFKC form.
    """
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    if character.isascii():
        return character
    kind, _, points = unicodedata.decomposition(character).partition(" ")
    if kind in ("<super>", "<sub>"):
        return ("^" if kind == "<super>" else "_") + f"{{{_plain(points)}}}"
    if kind == "<square>":  # one character for a unit and its power
        return "".join(map(_written, _plain(points)))
    if kind == "<fraction>":
        return r"\frac{{{}}}{{{}}}".format(*_plain(points).partition("/")[::2])
    if unicodedata.category(character) == "Cf":  # zero width, direction marks
        return ""
    if unicodedata.category(character) == "Co":  # the marks of this module
        return "\ufffd"
    digit = unicodedata.decimal(character, None)
    return unicodedata.normalize("NFKC", character) if digit is None else str(digit)


def _plain(points: str) -> str:
    return "".join(chr(int(point, 16)) for point in points.split()).replace("\u2044", "/").replace("\u2212", "-")


# ---------------------------------------------------------------- LaTeX -> plain text

_IN_TEXT = re.compile(
    r"\\(?:text(?:bf|it|rm|normal|sf|tt|sc|up)?|math(?:rm|it|sf|tt)|operatorname|[mh]box|emph)\*?\s*\{([^{}]*)\}"
)
_WORD = re.compile(r"(?<![\\A-Za-z])\ue000?([^\W\d_]+)")
_DROPPED = re.compile(
    r"\\(?:color|textcolor|hspace|vspace|mspace|phantom|vphantom|label|tag|begin|end)\*?\s*\{[^{}]*\}"
    r"|\\(?:displaystyle|textstyle|scriptstyle|tiny|small|normalsize|large|Large|LARGE|huge|Huge|bfseries|bf|rm|it|sf|tt"
    r"|left|right|[bB]igg?[lr]?|mathbf|mathsf|boldsymbol|bm|pmb|underline|fbox|framebox|boxed|ensuremath|mathord|num"
    r"|limits|strut|mathstrut|nobreak)(?![A-Za-z])"
    r"|\\[()\[\]!]|\*\*"
)
_REPLACED = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"\\textsuperscript(?=\s*\{)", "^"),
        (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![A-Za-z]))|\\degree(?![A-Za-z])|\\textdegree(?![A-Za-z])", "°"),
        (r"\\(?:text)?(?:dollar|euro|sterling|pounds|yen|cent)(?![A-Za-z])", "$"),
        (r"\\(?:approx|simeq|sim|cong|doteq|Rightarrow|implies|therefore)(?![A-Za-z])", "="),
        (r"\\(?:quad|qquad|enspace|thinspace)(?![A-Za-z])|\\[,;: ]|~", " "),
        (r"\\\\", ";"),
        (r"\\(?:\{|lbrace(?![A-Za-z]))", "("),
        (r"\\(?:\}|rbrace(?![A-Za-z]))", ")"),
        (r"_\s*\{?10\}?\s*\Z", ""),
        (r"(?<![A-Za-z])\{([,.-])\}", r"\1"),
        (r"\\([$%#&])", r"\1"),
        (r"\bRs\.", "Rs "),
        (r"\b([ap])\.\s?m\b\.?", r"\1m"),
        (r"\^\s*\{?\s*\\prime(?![A-Za-z])\s*\}?", "'"),
    )
)
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d)|(?<=[A-Za-z])\s+(?:\ue000)?(?:squared|cubed)\b")
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*\ue000?(?:st|nd|rd|th)\s*\}?")
_UNIT_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}\d\\]*)\}\s*\{([^{}\d\\]*)\}")
_HYPHEN = re.compile(r"(?<=[0-9A-Za-z}).])-(?=\ue000?[A-Za-z]{2})")
_GROUP = re.compile(r"(\{\s*)\{([^{}]*)\}")
_COUNTRY = re.compile(r"\ue000?\b(?:US|AU?|CA?|S|HK|NZ|R|MX)\s*(?=\$)")
_AMOUNT = r"\d+(?:,\d{3})*(?:\.\d+)?"
_FRACTION = re.compile(
    rf"\\[dtc]?frac\s*(?:\{{\s*(-?\s*{_AMOUNT})\s*\}}|(\d))\s*(?:\{{\s*({_AMOUNT})\s*\}}|(\d))"
    rf"|(?<![\d.,/])({_AMOUNT})\s*/\s*({_AMOUNT})(?![\d.,]*[\d/])"
)
_POWER_OF_TEN = re.compile(r"(?<=\d)\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*(?:\{\s*([+-]?\d{1,3})\s*\}|([+-]?\d{1,3}))")


def _simplified(text: str) -> str:
    """Return a LaTeX text in plain characters without styles and text commands; marks
    stand before words of text mode.
    """
    text = _DASHES.sub("-", "".join(map(_written, text)))
    for pattern, by in _REPLACED:
        text = pattern.sub(by, text)
    inner, text = None, _DROPPED.sub("", text)
    while inner != text:
        inner = text
        text = _IN_TEXT.sub(lambda match: _WORD.sub(_TEXT_MARK + r"\1", match[1]), _GROUP.sub(r"\1\2", text))
    text = _UNIT_FRACTION.sub(r" \1/\2 ", _ORDINAL.sub("", _UNIT_POWER.sub("", text)))
    return _COUNTRY.sub("", _HYPHEN.sub(" ", text)).strip()


def _fraction(match: re.Match[str]) -> str:
    above, below = match[1] or match[2] or match[5], match[3] or match[4] or match[6]
    return f"{_OPEN_FRACTION}{above}/{below}{_CLOSE_FRACTION}"


# ---------------------------------------------------------------- tokens

_TOKEN = re.compile(
    rf"(?P<N>(?:\d{{1,3}}(?:,\d\d)*(?:,\d{{3}})+|\d{{1,3}}(?:[ '\u00a0]+\d{{3}})+|\d+)(?!\d)(?:\.\d+|\.(?![.\d]))?"
    r"(?:[eE][+-]?\d{1,3}(?!\w))?|\.\d+)"
    rf"|(?P<F>{_OPEN_FRACTION}[^{_CLOSE_FRACTION}]+{_CLOSE_FRACTION})"
    rf"|(?P<word>{_TEXT_MARK}?[^\W\d_]+)"
    r"|(?P<S>[+-])|(?P<C>[$€£¥₹₩₽¢₺₫₱฿₦])|(?P<P>[%°])|(?P<open>[(\[])|(?P<close>[)\]])"
    r"|(?P<slash>/|\\cdot|\\times)|(?P<Q>\.(?!\.)|[,:;\"'`#&\u2018-\u201d])|(?P<space>\s+)|(?P<X>.)",
    re.DOTALL,
)
_KINDS = {"open": "(", "close": ")", "slash": "/"}
_SHAPE = re.compile(r"[WCQ]*([SC(]*)(NF?|F)(M?)[)]*(?:[WUCPQ()]|/(?=\(*[WU]))*")
"""Kinds of tokens: W word, U unit (a word only behind the number), C currency, Q punctuation, S sign, N number, F
fraction, M multiplier, P percent or degree."""
_MULTIPLIERS = {"hundred": 2, "thousand": 3, "k": 3, "million": 6, "billion": 9, "trillion": 12}
_SIGNS = {"negative": "-", "minus": "-", "plus": "+", "positive": "+"}
_CURRENCIES = frozenset(re.findall(r"\w+", "usd eur gbp inr cad aud jpy cny chf rs"))
_UNITS = frozenset(
    re.findall(
        r"\w+",
        "m g s h l v w n j f a b c d cm mm km nm kg mg lb lbs oz ft hr hrs yd yds ms pt qt kw kj kn hz kb mb gb tb ml"
        " mph kph kmh sq cu st nd rd th am pm rpm bps fps mins secs tsp tbsp cl dl kwh ghz mhz khz",
    )
)
_BARE_LETTERS = frozenset("mgshlLWVAKNJCF")
"""Single letters that are units outside text mode; others are variables."""
_REFUSED = frozenset(
    re.findall(
        r"\w+",
        "not no never neither nor or than least most between unknown none nan inf infinity infinite undefined pi"
        " squared cubed half third thirds factorial root sqrt log mod divided multiplied choose e i",
    )
)
"""Words that make another number, or none, of the one beside them."""
_ONLY_BEHIND = frozenset(
    re.findall(
        r"\w+",
        "over under above below up to from beyond until times twice double triple quarter quarters without less fewer"
        " more exceeds exceeding dozen dozens",
    )
)


def _word_kind(word: str) -> str:
    in_text, low = word[0] == _TEXT_MARK, word.strip(_TEXT_MARK).lower()
    if low in _SIGNS:
        return "S"
    if low in _MULTIPLIERS:
        return "M"
    if low in _CURRENCIES:
        return "C"
    if len(low) == 1:
        ascii_unit = in_text or word in _BARE_LETTERS
        return "U" if (ascii_unit if low.isascii() else not "\u0370" <= low <= "\u03ff") else "X"
    if low in _REFUSED:
        return "X"
    if low in _UNITS or low in _ONLY_BEHIND:
        return "U"
    spoken = not low.isascii() or re.search("[aeiou]", low) is not None
    return (
        "W"
        if spoken and (in_text or len(low) > 2 or low in ("is", "of", "in", "at", "an", "on", "us"))
        else "XU"[in_text]
    )


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) of every token of a simplified text except spaces.

    The kinds are those of ``_SHAPE``, ``(`` and ``)`` for brackets, ``/`` for a slash or a sign of multiplication, and
    X for anything else.
    """
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "X"
        if kind == "word":
            yield _word_kind(match[0]), match[0]
        elif kind != "space":
            yield _KINDS.get(kind, kind), match[0]


# ---------------------------------------------------------------- the number


def number(text: str) -> str | None:
    r"""Return the number that a short LaTeX text is as a whole, for ``fractions.Fraction``; None if it is not one.

    Args:
        text: The text, such as the content of a ``\boxed{}``; of an equation the right side is read (the left of
            ``18 = x``; of ``2x = 18`` neither).

    Returns:
        The number as written, without separators and plus sign (``-1234.50``); one with a fraction, times a power of
            ten (``2 \times 10^3``, ``2e3``) or with a multiplier such as "million" is computed and given as a whole
            number or in lowest terms (``37/2``). Words, units (``%`` too) and currency around it are dropped; some
            words ("not", "half", "at least") give None.
    """
    return _of_equation(_simplified(text))


def _of_equation(text: str) -> str | None:
    head, equals, tail = text.rpartition("=")
    if not equals:
        return _quantity(text)
    if _RELATION.search(head):
        return None
    if not re.search(r"\d", tail):  # 18 = x
        return _quantity(head) if re.fullmatch(r"\s*\ue000?[^\W\d_]+\s*", tail) else None
    return None if _unsolved(head) else _quantity(tail)


_RELATION = re.compile(r"[<>]|!\s*$|\\(?:ne|neq|le|ge|leq|geq|pm|mp)(?![A-Za-z])|[,;](?!\d)|\b(?:and|or)\b")
"""What stands before the last ``=`` of a text that is more than one equation, or another relation."""


def _unsolved(head: str) -> bool:
    """Return whether ``head``, the left side of the only equation of a text, has a letter (A-Z, a-z) and a digit.

    True for ``2x`` and ``x + 2``; then the right side is not the answer. What stands in parentheses or as a subscript,
    commands and words of text mode do not count. False when ``head`` has a ``=``.
    """
    free = re.sub(r"\([^()]*\)|_\s*(?:\{[^{}]*\}|\w)|\\[A-Za-z]+|\ue000[^\W\d_]+", "", head)
    return "=" not in head and bool(re.search(r"[A-Za-z]", free) and re.search(r"\d", free))


def _quantity(text: str) -> str | None:
    text = _FRACTION.sub(_fraction, _POWER_OF_TEN.sub(lambda match: f"e{match[1] or match[2]}", text))
    if not re.search(r"[\^_]|\\[a-z]*(?:frac|sqrt)", text):
        text = text.replace("{", "").replace("}", "")
    tokens = list(_tokens(text))
    shape = _SHAPE.fullmatch("".join(kind for kind, _ in tokens))
    if shape is None or "SS" in shape[1] or not _balanced(shape[0]):
        return None
    minus = sum(_SIGNS.get(word.strip(_TEXT_MARK).lower(), word) == "-" for kind, word in tokens if kind == "S") % 2
    values = {kind: word for kind, word in tokens if kind in "NFM"}
    whole = re.sub(r"[, '\u00a0]", "", values.get("N", ""))
    if "F" not in values and "M" not in values and "e" not in whole.lower():
        return "-" * minus + whole
    value = Fraction(whole or 0)
    if "F" in values:
        above, _, below = re.sub(r"[, ]", "", values["F"][1:-1]).partition("/")
        if not Fraction(below) or (whole and (not whole.isdigit() or Fraction(above) < 0)):
            return None
        value += Fraction(above) / Fraction(below)
    multiplier = values.get("M", "").strip(_TEXT_MARK)
    if multiplier and (multiplier != "K" or "C" in shape[0]):  # K is kelvin where there is no currency
        value *= 10 ** _MULTIPLIERS[multiplier.lower()]
    return str(-value if minus else value)


def _balanced(kinds: str) -> bool:
    depth = 0
    for kind in kinds:
        depth += {"(": 1, ")": -1}.get(kind, 0)
        if depth < 0:
            return False
    return depth == 0


# ---------------------------------------------------------------- arithmetic

_ARITHMETIC = re.compile(r"(?:[0-9.()\[\]{}+\-*/^!|\s]|\\(?:[dtc]?frac|sqrt|times|cdot|div)(?![A-Za-z]))*")
_JUXTAPOSED = re.compile(r"\A\D*\Z|\.\d*\.|\d\s*[{\[]|[)}\]]\s*\d|\d\s+\d|[^\d)}\]!|.]\s*\Z")
"""What math-verify reads in another way than it is meant (``{1}8`` as 9), or is not whole."""


def _without_unit(text: str) -> str:
    unit = re.search(r"(?:\s*(?:\ue000?[^\W\d_]+|[%°]))+\Z", text)
    kinds = {kind for kind, _ in _tokens(unit[0])} if unit else set()
    return text[: unit.start()] if unit and kinds <= set("WUP") else text


def expression(text: str) -> str | None:
    r"""Return a LaTeX text of constant arithmetic, such as ``6 \times 3`` or ``\sqrt{324}``,
    cleaned for ``expressions.value``.

    Of an equation (``x = 3^2 + 9``) the right side. A unit or words behind it are dropped. None for texts without an
    operation or sign, with variables, other words or relations, and where math-verify would misread the notation.
    """
    head, _, tail = _simplified(text).rpartition("=")
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", tail).replace("$", "").strip().removesuffix(".")
    usable = "..." not in tail and not _unsolved(head) and not _RELATION.search(head)
    plain = re.sub(r"(?<=[\d)])\s*(?=\()", r"\\times ", _without_unit(plain))
    usable = usable and re.search(r"[+\-*/^!|\\]", plain) is not None
    return plain if usable and _ARITHMETIC.fullmatch(plain) and not _JUXTAPOSED.search(plain) else None
