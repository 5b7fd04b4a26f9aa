"""Remove the name of the language, which Wikimedia Commons puts before each description.

Languages are not detected.
"""

import re
from functools import cache

# Commons's names of WIT's languages. Removing any word before a colon would be wrong: "Landsat: a view of the Nile" and
# "Photo: NASA" are texts.
LANGUAGE_NAMES = (
    "Afrikaans", "Alemannisch", "Aragonés", "Asturianu", "Azərbaycanca", "Bahasa Indonesia", "Bahasa Melayu",
    "Basa Jawa", "Basa Sunda", "Boarisch", "Bosanski", "Brezhoneg", "Català", "Cebuano", "Corsu", "Cymraeg", "Dansk",
    "Deutsch", "Eesti", "English", "Español", "Esperanto", "Euskara", "Filipino", "Français", "Frysk", "Føroyskt",
    "Gaeilge", "Galego", "Gàidhlig", "Hrvatski", "Ido", "Interlingua", "Italiano", "Kiswahili", "Kurdî", "Latina",
    "Latviešu", "Lietuvių", "Ligure", "Limburgs", "Lombard", "Lëtzebuergesch", "Magyar", "Malagasy", "Malti",
    "Minangkabau", "Napulitano", "Nederlands", "Nordfriisk", "Norsk", "Norsk bokmål", "Norsk nynorsk", "Occitan",
    "Oʻzbekcha", "Piemontèis", "Plattdüütsch", "Polski", "Português", "Português do Brasil", "Română", "Scots",
    "Shqip", "Sicilianu", "Slovenčina", "Slovenščina", "Srpskohrvatski", "Suomi", "Svenska", "Tagalog", "Tiếng Việt",
    "Türkçe", "Vepsän kel’", "Volapük", "Vèneto", "Winaray", "Walon", "Íslenska", "Čeština", "Žemaitėška", "Ελληνικά",
    "Башҡортса", "Беларуская", "Български", "Кыргызча", "Македонски", "Монгол", "Нохчийн", "Русский", "Српски",
    "Татарча", "Тоҷикӣ", "Українська", "Чӑвашла", "Қазақша", "Հայերեն", "ייִדיש", "עברית", "اردو", "العربية",
    "تۆرکجه", "فارسی", "پنجابی", "کوردی", "नेपाली", "मराठी", "हिन्दी", "বাংলা", "ਪੰਜਾਬੀ", "ગુજરાતી", "தமிழ்",
    "తెలుగు", "ಕನ್ನಡ", "മലയാളം", "සිංහල", "ไทย", "မြန်မာဘာသာ", "ქართული", "中文", "日本語", "粵語", "한국어",
)  # fmt: skip


def without_language_name(text: str) -> str:
    """Return a text without the name of a language and a colon at its beginning."""
    return _announcement().sub("", text, count=1)


@cache
def _announcement() -> re.Pattern[str]:
    # The name may be followed by a variant in brackets or after a slash, as in "Српски / srpski:", by a mark of the
    # writing direction, and by the space that French has before a colon.
    names = "|".join(map(re.escape, LANGUAGE_NAMES))
    variant = r"(?: ?[(（][^()（）]{1,30}[)）]| ?/ ?[^\W\d_]{1,20})?"
    return re.compile(rf"\A(?:{names}){variant}[\u200e\u200f]? ?[:：][ \u00a0]*")
