"""Rules for personal data: e-mail addresses, phone numbers, IBANs, card numbers, US social security numbers.

Checksums are verified where the format has one (ISO 13616 mod 97, Luhn), so that order numbers and
measurements do not match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ainb.pipeline.validation.rules import Place

# After this many candidates in a text the rest match without a checksum, which would take too long.
MAX_CHECKED = 5_000
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]++@(?=[A-Za-z0-9])[A-Za-z0-9\-]++(?>(?:\.[A-Za-z0-9\-]++)+)(?<=[A-Za-z]{2})"
)
_PHONES = (
    re.compile(r"\+[1-9](?<![\w+.]\+.)(?>(?:[ \-./()]{0,3}+[0-9]){6,13})(?![0-9])"),
    re.compile(r"00[1-9](?<![\w+.\-]00.)(?>(?:[ \-./()]{0,3}+[0-9]){7,13})(?![0-9])"),
    # North America, without a leading 1. The look-behind stands last because the rest fails faster.
    re.compile(r"\((?<![\w+]\()[2-9][0-9]{2}\) ?[2-9][0-9]{2}[ \-.][0-9]{4}(?![\w\-])"),
    re.compile(
        r"[2-9][0-9]{2}[ \-.][2-9][0-9]{2}[ \-.][0-9]{4}(?![\w\-])"
        r"(?:(?<![\w+.\-(][0-9]{3}.[0-9]{3}.[0-9]{4})|(?<=(?<![\w.\-])1[ \-.][0-9]{3}.[0-9]{3}.[0-9]{4}))"
    ),
)
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"
)
_CARD = re.compile(
    r"[2-6](?<![0-9].)(?<![0-9][ \-].)(?:[0-9]{12,18}+|[0-9]{3}([ \-])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}+"
    r"|(?<=3)[0-9]{3}([ \-])[0-9]{6}\2[0-9]{5})(?![0-9])(?![ \-][0-9])"
)
_SSN = re.compile(r"[0-8](?<![0-9\-].)[0-9]{2}(?<!000)(?<!666)-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9\-])")
_DIGIT = re.compile(r"[0-9]")
_NO_SPACES = str.maketrans("", "", " -")
_LETTERS = {letter: str(letter - 55) for letter in range(65, 91)}
_DOUBLED = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))
_ZERO = 48


def is_iban(text: str) -> bool:
    """Whether the check digits of an IBAN (blanks allowed) are valid."""
    plain = text.translate(_NO_SPACES)
    return int((plain[4:] + plain[:4]).translate(_LETTERS)) % 97 == 1


def is_card(text: str) -> bool:
    """Whether the check digit of a card number (blanks and dashes allowed) is valid."""
    digits = text.translate(_NO_SPACES).encode()
    plain, doubled = digits[::-2], digits[-2::-2].translate(_DOUBLED)
    return (sum(plain) - _ZERO * len(plain) + sum(doubled)) % 10 == 0


def may_hold_numbers(text: str) -> bool:
    """Whether the text contains a digit."""
    return _DIGIT.search(text) is not None


def _finder(
    *patterns: re.Pattern[str], kind: str, check: Callable[[str], bool] | None = None
) -> Callable[[str], Iterator[Place]]:
    """The function that finds matches of the patterns that pass `check`; a place may be found twice."""

    def find(text: str) -> Iterator[Place]:
        for pattern in patterns:
            for number, match in enumerate(pattern.finditer(text)):
                if check is None or number >= MAX_CHECKED or check(match.group()):
                    yield match.start(), match.end(), kind

    return find


find_emails = _finder(_EMAIL, kind="email")
find_ibans = _finder(_IBAN, kind="IBAN", check=is_iban)
find_cards = _finder(_CARD, kind="card number", check=is_card)
find_ssns = _finder(_SSN, kind="SSN")
find_phones = _finder(*_PHONES, kind="phone number")
