"""Countries by ISO 3166 code, with readable English short names. Countries are found by position in places.py."""

from collections.abc import Mapping
from functools import lru_cache

from stages.identity import package_version

KOSOVO = "XKX"  # Kosovo, from the range that ISO 3166 leaves to its users; XK in GeoNames, "KO-" in FMoW

# Codes of FMoW that are not in ISO 3166 (github.com/fMoW/dataset, issue 13): "KO-" is always Kosovo; "CA-" is the
# shore of the Caspian Sea, in Russia or Azerbaijan, so the country follows from the position.
ODD_CODES: Mapping[str, str | None] = {"KO-": KOSOVO, "CA-": None}


@lru_cache(maxsize=1)
def names_by_code() -> Mapping[str, str]:
    """Return the English short name of each country by alpha-3 code."""
    import pycountry

    names = {c.alpha_3: getattr(c, "common_name", None) or in_reading_order(c.name) for c in pycountry.countries}
    return {**names, KOSOVO: "Kosovo"}


@lru_cache(maxsize=1)
def codes_by_alpha_2() -> Mapping[str, str]:
    """Return the alpha-3 code of each alpha-2 code."""
    import pycountry

    return {**{c.alpha_2: c.alpha_3 for c in pycountry.countries}, "XK": KOSOVO}


def country_code(stated: str | None) -> str | None:
    """Return a stated code as an alpha-3 code; None if there is no such country."""
    code = (stated or "").strip().upper()
    code = ODD_CODES.get(code, code) or ""
    return code if code in names_by_code() else None


def in_reading_order(name: str) -> str:
    """Return a name without the comma that ISO 3166 inserts for sorting, as in "Virgin Islands, British"."""
    noun, comma, rest = name.partition(", ")
    is_turned = comma and (rest in ("British", "U.S.") or rest.split(" ")[-1] == "of" or rest.endswith(" of the"))
    return f"{rest} {noun}" if is_turned else name


def names_identity() -> Mapping[str, str]:
    """Return the versions that the names depend on."""
    return {"countries": f"pycountry {package_version('pycountry')}"}
