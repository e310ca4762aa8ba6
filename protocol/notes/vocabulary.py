"""What a word is: of the language, of medicine, or of a person's name.

Three sources. Names: the given and family names that faker carries for English and French countries. The languages:
how often wordfreq has seen a word. Medicine: the reviewed lists in ``words/``, and the Greek and Latin elements that
clinical words are built of in both languages. No list holds every name, so what is in none of them counts as unknown,
and an unknown word with a capital within a sentence is taken for a name.

All words are compared as plain text: lower case, without accents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path

from protocol.errors import DataError
from protocol.notes.folding import plain

#: Those of countries where patients with English and French records live.
NAME_LISTS = ("en_US", "en_GB", "en_IE", "en_NZ", "fr_FR", "fr_CA", "fr_BE", "fr_CH")
#: Zipf values (log10 of occurrences in a billion words): common, and rare enough to say nothing alone.
COMMON, RARE = 3.65, 2.6
_CACHED = 65_536
_LONGEST = 40


class Sense(IntEnum):
    """What a word can be, from a person's name to a word of medicine."""

    NAME = 0
    UNKNOWN = 1
    #: A name and a word: Rose, Grant, Petit.
    BOTH = 2
    #: In no list, but built like a word, or rare.
    RARE = 3
    WORD = 4
    TERM = 5


# Elements of clinical words, anywhere in a word of six letters and more.
_ELEMENTS = re.compile(
    """abdom|acetab|adeno[a-z]{3}|aesthe|anesth|anasto|andro[a-z]{4}|aneur|angio[a-z]{3}|aorti|appendi
    |arter[iy]|arthr|articul|asthm|atri[ao][lv]|auricul|bacter|bilat|biliai|bilirub|bronch|calci[fnpu]
    |cancer|carcin|cardi[aoq][a-z]{2}|carpien|cathet|caecal|cephal|cerebr|cervic|chemo[rt]|chimio|chirurg
    |cholec|choles|chondr|clavic|coagul|colono|corneen|coronar|cortico|crani[aeo]|cutan|cyano|cyst[eio]
    |cyto[a-z]{3}|dermat|dermi[cqst]|derme|diabet|diaphr|diarrh|dilat|diures|dorso|duoden|dysp|dysf|dyst[ro]
    |echog|echoca|edema|oedem|emboli|encepha|endocr|endom|endosc|enter[io][a-z]{3}|epiderm|epigas|epilep
    |erythem|erythro|esophag|oesoph|femora|fibri[ln]|fibro[a-z]|fistul|fractu|gastr[io]|genit|gingiv|glauc
    |glosso|glyc[eo]|gonad|gynec|haem[ao][a-z]|hemat|hemi[apt]|hemog|hemor|hepat|herni|hormon|hydro[ckntx]
    |hyper[a-z]{3}|hypo[a-z]{4}|hyster|ictere|ileo[a-z]|immun|infect|inflam|inguin|insulin|intest
    |intra[a-z]{4}|intub|ischem|kerat|kinesi|laparo|laryn|leuc[eo]|leuk[eo]|lesion|ligam|lipid|lithia|lobair
    |lombai|lumbar|lymph|mammai|mammo|mandib|medull|melano|mening|mesent|metabo|metast|microb|mitral|morphin
    |muqu|mucos|muscul|myco[bpts]|myel[io]|myocar|myopa|nasal|necro|neonat|nephr|neur[aio]|nodul|obstet
    |occlu|ocula|odont|omphal|oncol|ophtal|ophth|ortho[gpst]|osseu|osteo|otorh|ovari|palp[aeiu]|pancre
    |papill|para(?:lys|metr|pleg|site|spin|thyr|ceta)|parench|pariet|patho|pediat|pelvi|perfus|perica|perine
    |perito|pharma|pharyn|phleb|phlyct|physio|pleur[aeo]|pneum|polyp|postop|preop|prostat|prosth|proteh
    |proth|psych|pulmo|purul|pyelo|radio[gltu]|rachi|rectal|renal|resect|retin[aeio]|rhino|rhumat|rheum
    |sacro|saign|salping|sangui|sarco|scapul|schizo|scint|scler|septi[cq]|serolo|sigmoi|sinus|spasm|sphinct
    |spiro|splen|spondyl|stenos|stern[oa]|stetho|stomat|sutur|symphys|symptom|syncop|syndrom|tachy|bradyc
    |tendin|testic|thorac|thromb|thyro|tibia|tomod|tonsil|toxi[cn]|trache|transf|trauma|tubercu|tumeur|tumor
    |tympan|ulcer|ultras|umbilic|ureter|uret[hr]|urin[aeo]|urolog|uter[iu]|vaccin|vagin|valvul|varic[eo]
    |vascul|veineu|venous|ventric|vertebr|vertig|vesic|viral|viscer|vitam""",
    re.VERBOSE,
)  # fmt: skip
_CLINICAL_ENDING = re.compile(
    """(?:itis|itides|ites?|oses?|osis|oma|omas|omata|(?<!s)omes?|emias?|aemias?|emies?|emique|emic|ectom(?:y
    |ies?)|ostom(?:y|ies?)|otom(?:y|ies?)|scop(?:y|ies?|ique|ic)|graph(?:y|ies?|ique|ic)|gramm?es?|grams?
    |path(?:y|ies?|ique|ic)|alg(?:ia|ies?|ique|ic)|plast(?:y|ies?|ique)|uri[ae]s?|urique|peni[ae]s?
    |pleg(?:ia|ies?|ic|ique)|phag(?:ia|ies?)|phas(?:ia|ies?)|phob(?:ia|ies?|ic|ique)|pn(?:oe|ee|ea|eic
    |eique)s?|rrh(?:oe|e)?(?:a|ee|ees|age|ages|agique|agic|agies?)s?|rrag(?:ie|ies|ique)|megal(?:y|ies?)
    |trop(?:hy|hie|hies|hic|hique)|troph(?:y|ied|ie|ique)|mania|manies?|lys(?:is|es?)|lyt(?:ic|ique)s?
    |cyt(?:es?|aires?|ic)|blast(?:s|es?|ic|ique)?|toxic(?:ity|ite)|therap(?:y|ies?|eutique|eutic|ist)
    |log(?:y|ies?|ist|ists|ue|ues|iques?|ical)|iatr(?:y|ie|ic|ique|e|es|ist)|mycine?s?|cillin[es]*|azoles?
    |prazoles?|statine?s?|sartan|olol|dipine|zepam|zolam|parine?|gliptine?|gliflozine?|formine?|cycline?s?
    |floxacine?|caine|flurane|curonium|setron|triptan|mab|tinib|ciclib|vir|oxetine|triptyline|thiazide
    |semide|prost|fibrate|dronate|cortisone?|solone|sonide|terol|tropium|profene?)$""",
    re.VERBOSE,
)  # fmt: skip
# Endings of ordinary words, which say something only of longer ones.
_WORD_ENDING = re.compile(
    """(?:tions?|sions?|ments?|ness|ities|ity|ites|ites?|ives?|ivement|able|ables|ible|ibles|ables?|ably|ful
    |fully|less|ously|ously|ous|ally|edly|ingly|ically|icals?|iques?|iquement|eux|euses?|aires?|airement
    |ateurs?|atrices?|iennes?|ismes?|isme|ism|istes?|ists?|ances?|ences?|ency|ancy|ants?|antes?|ents?|entes?
    |ized?|ised?|izing|ising|izes?|ises?|isee?s?|isation|ization|ified|ifies|ifying|ifie[es]*|ment|ures?
    |ages?|ated|ating|ates|ative|atory|atoires?|ales?|elles?|iels?|ees?|er|ers|ing|ings|ed|ly|ship|ward
    |wards|ification)$""",
    re.VERBOSE,
)  # fmt: skip


def listed(name: str) -> frozenset[str]:
    """Words of one of our own lists: ``words/NAME.txt``, words apart by blanks, remarks after ``#``."""
    text = files("protocol.notes").joinpath("words", f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(
        plain(word) for line in text.splitlines() if not line.startswith("#") for word in line.split()
    )


@lru_cache(maxsize=1)
def person_names() -> frozenset[str]:
    """Every word of the names that faker carries for these countries."""
    found: set[str] = set()
    for place in NAME_LISTS:
        provider = import_module(f"faker.providers.person.{place}").Provider
        for attribute in dir(provider):
            if not attribute.startswith(("first_names", "last_names")):
                continue
            for name in getattr(provider, attribute):
                if isinstance(name, str):
                    found.update(word for word in re.split(r"[\s\-.]+", plain(name)) if len(word) > 1)
    return frozenset(found)


@lru_cache(maxsize=1)
def frequencies() -> dict[str, float]:
    """Zipf value of the words of both languages that are seen often enough to count, the greater of the two."""
    import wordfreq

    found: dict[str, float] = {}
    for language in ("en", "fr"):
        # Bucket n holds the words of a frequency of 10 ** (-n / 100).
        for bucket, words in enumerate(wordfreq.get_frequency_list(language, "large")):
            zipf = 9 - bucket / 100
            if zipf < RARE - 0.6:
                break
            for word in words:
                key = plain(word)
                if zipf > found.get(key, 0):
                    found[key] = zipf
    wordfreq.get_frequency_list.cache_clear()
    return found


class Vocabulary:
    """The senses of words. ``names`` and ``terms`` are a hospital's own: always names, and never names."""

    def __init__(self, names: Iterable[str] = (), terms: Iterable[str] = ()) -> None:
        self._own_names = frozenset(word for name in names for word in _words(name))
        self._own_terms = frozenset(word for term in terms for word in _words(term))
        self._names = person_names()
        self._frequencies = frequencies()
        self._both = listed("both")
        self._eponyms = listed("eponyms")
        self._kept = listed("drugs") | listed("abbreviations") | listed("proper")
        self._clinical = listed("clinical")
        self._verbs = listed("verbs")
        self.sense = lru_cache(maxsize=_CACHED)(self._sense)

    def zipf(self, word: str) -> float:
        """How often a plain word is seen; 0 where it is rarer than what counts."""
        return self._frequencies.get(word, 0.0)

    def is_eponym(self, word: str) -> bool:
        """Whether a disease, sign or score carries the name."""
        return word in self._eponyms

    def is_kept(self, word: str) -> bool:
        """Whether one of the lists says that a capital means something else than a person."""
        return word in self._kept or word in self._own_terms

    def is_term(self, word: str) -> bool:
        """Whether it is a word of medicine, or one that is kept."""
        return self.sense(word) is Sense.TERM

    def is_verb(self, word: str) -> bool:
        """Whether people do it in notes."""
        return word in self._verbs

    def is_own_name(self, word: str) -> bool:
        """Whether the hospital itself gave it as a name."""
        return word in self._own_names

    def _sense(self, word: str) -> Sense:
        if word in self._own_names:
            return Sense.NAME
        if word in self._own_terms:
            return Sense.TERM
        named = word in self._names
        if named:
            worded = word in self._both or word in self._kept or word in self._clinical
            return Sense.BOTH if worded else Sense.NAME
        if word in self._kept or word in self._clinical:
            return Sense.TERM
        zipf = self.zipf(word)
        if zipf >= COMMON:
            return Sense.WORD
        if word in self._eponyms:
            return Sense.UNKNOWN
        if len(word) > _LONGEST or "-" in word:
            return Sense.UNKNOWN
        if (len(word) >= 6 and _ELEMENTS.search(word)) or (len(word) >= 7 and _CLINICAL_ENDING.search(word)):
            return Sense.TERM if zipf or len(word) >= 10 else Sense.RARE
        return self._built(word, zipf)

    def _built(self, word: str, zipf: float) -> Sense:
        """A rare word: by its stem and its ending."""
        if len(word) >= 7 and _WORD_ENDING.search(word) and (zipf or len(word) >= 9):
            return Sense.RARE
        for ending in ("s", "es", "e", "ed", "d", "ing", "ly", "x"):
            if word.endswith(ending) and self.zipf(word[: -len(ending)]) >= COMMON and len(word) > 5:
                stem = word[: -len(ending)]
                if stem not in self._names and len(stem) > 3:
                    return Sense.RARE
        return Sense.RARE if zipf >= COMMON - 0.35 else Sense.UNKNOWN


def read_words(path: Path) -> tuple[str, ...]:
    """A hospital's own names or terms: one a line, remarks after ``#``. Raises DataError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(
            f"{path.name} cannot be read as a list of words.", "Give a text file in UTF-8."
        ) from None
    entries = (line.partition("#")[0].strip() for line in lines)
    return tuple(entry for entry in entries if entry)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", plain(name)) if len(word) > 1]
