"""The one parser of amounts of bytes as Kubernetes writes them (`10Gi`, `500M`). Pure."""

import re
from fractions import Fraction
from math import ceil

PATTERN = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"
MAX_LENGTH = 32

_WHOLE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_UNITS = {"": 1, **{f"{sign}i": 1024**power for power, sign in enumerate("KMGTP", 1)}}
_UNITS |= {sign: 1000**power for power, sign in enumerate("kMGTP", 1)}


def parse_bytes(text: str) -> int:
    """Bytes of a quantity such as `10Gi`, rounded up as Kubernetes does; ValueError with the text when it is none."""
    found = _WHOLE.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        raise ValueError(f"{text!r} is not an amount of bytes such as 500Mi or 10Gi")
    return ceil(Fraction(found[1]) * Fraction(_UNITS[found[2] or ""]))
