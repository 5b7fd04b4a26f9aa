"""Names in the generated place sentences: well-known countries and cities, and names invented from syllables."""

import random
from collections.abc import Sequence

COUNTRIES = (
    "Argentina", "Australia", "Austria", "Belgium", "Bolivia", "Brazil", "Bulgaria", "Canada", "Chile", "China",
    "Colombia", "Croatia", "Cuba", "Denmark", "Ecuador", "Egypt", "Ethiopia", "Finland", "France", "Germany", "Ghana",
    "Greece", "Hungary", "Iceland", "India", "Indonesia", "Iran", "Iraq", "Ireland", "Israel", "Italy", "Jamaica",
    "Japan", "Jordan", "Kenya", "Lebanon", "Libya", "Malaysia", "Mali", "Malta", "Mexico", "Morocco", "Nepal",
    "Netherlands", "New Zealand", "Nigeria", "North Korea", "Norway", "Pakistan", "Panama", "Peru", "Philippines",
    "Poland", "Portugal", "Qatar", "Romania", "Russia", "Saudi Arabia", "Scotland", "Senegal", "Serbia", "Singapore",
    "South Africa", "South Korea", "Spain", "Sri Lanka", "Sudan", "Sweden", "Switzerland", "Syria", "Taiwan",
    "Tanzania", "Thailand", "Tunisia", "Turkey", "Uganda", "Ukraine", "United Kingdom", "United States", "Uruguay",
    "Venezuela", "Vietnam", "Wales", "Yemen", "Zambia", "Zimbabwe", "UK", "USA", "U.S.", "UAE",
)  # fmt: skip
REGIONS = (
    "California", "Texas", "Florida", "Arizona", "Oregon", "Washington", "Michigan", "Ohio", "Virginia", "Utah",
    "Nevada", "Alaska", "Hawaii", "New York", "New Jersey", "New Mexico", "North Carolina", "Ontario", "Quebec",
    "Alberta", "Bavaria", "Tuscany", "Catalonia", "Queensland", "Victoria", "Gujarat", "Kerala", "Sichuan", "Crimea",
    "Cornwall", "Colorado", "Illinois", "Louisiana", "Georgia", "British Columbia", "New South Wales",
)  # fmt: skip
CITIES = (
    "London", "Paris", "Berlin", "Madrid", "Rome", "Vienna", "Lisbon", "Athens", "Dublin", "Oslo", "Stockholm",
    "Copenhagen", "Helsinki", "Warsaw", "Prague", "Budapest", "Moscow", "Kiev", "Istanbul", "Cairo", "Lagos",
    "Nairobi", "Cape Town", "Johannesburg", "Casablanca", "Dubai", "Tehran", "Baghdad", "Mumbai", "Delhi", "Kolkata",
    "Bangkok", "Hanoi", "Jakarta", "Manila", "Beijing", "Shanghai", "Hong Kong", "Seoul", "Tokyo", "Osaka", "Kyoto",
    "Sydney", "Melbourne", "Brisbane", "Perth", "Auckland", "Toronto", "Montreal", "Vancouver", "Chicago", "Boston",
    "Houston", "Dallas", "Miami", "Seattle", "Denver", "Phoenix", "Los Angeles", "San Francisco", "San Diego",
    "Las Vegas", "New Orleans", "Mexico City", "Havana", "Lima", "Bogota", "Santiago", "Buenos Aires",
    "Rio de Janeiro", "Rotterdam", "Amsterdam", "Brussels", "Hamburg", "Munich", "Milan", "Venice", "Naples",
    "Barcelona", "Valencia", "Marseille", "Lyon", "Geneva", "Zurich", "Glasgow", "Edinburgh", "Manchester",
    "Liverpool", "Bristol", "Kathmandu", "Karachi", "Kabul", "Riyadh", "Doha", "Tripoli", "Dakar", "Atlanta",
)  # fmt: skip
FIRST = (
    "Anna", "John", "Maria", "Peter", "Laura", "David", "James", "Sarah", "Michael", "Elena", "Ivan", "Chen", "Omar",
    "Fatima", "Robert", "Linda", "Thomas", "Julia", "Mark", "Emma", "Daniel", "Alice", "George", "Nina", "Paul",
)  # fmt: skip
_LAST_ENDINGS = ("son", "er", "ez", "ov", "ini", "mann", "sen", "ard", "wick", "ley", "ski", "ett")
_ONSETS = ("b", "br", "d", "dr", "f", "g", "h", "k", "kr", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u", "ei", "ar", "en", "or", "el")
_TOWN_ENDINGS = (
    "burg", "ville", "ton", "stad", "ham", "by", "vik", "grad", "pur", "abad", "dorf", "mouth", "ford", "port", "lia",
    "nia", "ova", "ona", "ana", "chester", "minster", "haven", "wick", "tal", "water",
)  # fmt: skip
_TOWN_STARTS = ("Port", "San", "Santa", "New", "Upper", "Lower", "Fort", "El", "La", "Saint", "East", "North")
_TOWN_TAILS = ("City", "Bay", "Falls", "Springs", "Beach", "Hills")
_ORG_TAILS = ("University", "Technologies", "Institute", "Group", "Company", "Agency", "Museum", "Press", "Images")
ORGS = ("NASA", "ESA", "USGS", "NOAA", "Google", "Maxar", "Reuters", "BBC", "Airbus", "Getty Images", "UNESCO", "Esri")
_LOC_STARTS = ("Lake", "Mount", "River", "Cape", "Gulf of")
_LOC_TAILS = ("River", "Mountains", "Valley", "Desert", "Island", "Sea", "Ocean", "Peninsula")
_FAC_TAILS = ("Airport", "Bridge", "Stadium", "Station", "Dam", "Harbour", "Park", "Castle")


def invented_town(rng: random.Random) -> str:
    """Return a town that does not exist, of one or two words."""
    stem = _stem(rng) + rng.choice(_TOWN_ENDINGS) if rng.random() < 0.8 else _stem(rng) + rng.choice(_VOWELS)
    kind = rng.random()
    if kind < 0.18:
        return f"{rng.choice(_TOWN_STARTS)} {stem}"
    return f"{stem} {rng.choice(_TOWN_TAILS)}" if kind < 0.24 else stem


def person(rng: random.Random) -> str:
    """Return a first and a last name, sometimes only a last name."""
    last = _stem(rng) + rng.choice(_LAST_ENDINGS)
    return last if rng.random() < 0.15 else f"{rng.choice(FIRST)} {last}"


def organization(rng: random.Random) -> str:
    """Return the name of an organisation, known or invented."""
    return rng.choice(ORGS) if rng.random() < 0.4 else f"{_stem(rng)}{rng.choice(_VOWELS)} {rng.choice(_ORG_TAILS)}"


def location(rng: random.Random) -> str:
    """Return the name of a natural feature: a lake, a river, a range."""
    stem = _stem(rng) + rng.choice(_VOWELS)
    return f"{rng.choice(_LOC_STARTS)} {stem}" if rng.random() < 0.5 else f"{stem} {rng.choice(_LOC_TAILS)}"


def facility(rng: random.Random) -> str:
    """Return the name of a building or an airport."""
    return f"{rng.choice((*CITIES, _stem(rng)))} {rng.choice(_FAC_TAILS)}"


def place(rng: random.Random, known: Sequence[str]) -> str:
    """Return a place name, known or invented with equal chance."""
    return rng.choice(known) if known and rng.random() < 0.5 else invented_town(rng)


def _stem(rng: random.Random) -> str:
    n_syllables = 1 if rng.random() < 0.6 else 2
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(n_syllables)).capitalize()
