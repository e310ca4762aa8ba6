"""Values of every kind of identifier, drawn for the templates."""

from __future__ import annotations

import random
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from stdnum import iban, luhn

MONTHS = {
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December"),
    "fr": ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
           "décembre"),
}  # fmt: skip
SHORT_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
}
STREETS = {
    "fr": ("des Lilas", "de la République", "Victor Hugo", "du Général Leclerc", "Jean Jaurès", "de l'Église",
           "des Trois Fontaines", "du 8 mai 1945", "de Verdun", "Sainte-Anne"),
    "en": ("High", "Church", "Station", "Maple", "Elm", "Victoria", "Queens", "Old Mill", "Kingsway North", "Sunset",
           "5th", "Oak Hill"),
}  # fmt: skip
CITIES = {
    "fr": ("Lyon", "Villeurbanne", "NANTES", "Saint-Étienne", "Aix-en-Provence", "Le Havre", "BOULOGNE BILLANCOURT",
           "Clermont-Ferrand", "Rennes"),
    "en": ("Springfield", "Leeds", "Bath", "Portland", "Salem", "Kingston", "Dover", "Milton Keynes"),
}  # fmt: skip
PLACES = {
    "fr": ("de Villefranche", "Bretonneau", "des Quatre Villes", "Sainte-Marguerite"),
    "en": ("Bartholomew", "Swithun", "Aldhelm"),
}


@dataclass(frozen=True)
class Names:
    """Given and family names of one language."""

    given: Sequence[str]
    family: Sequence[str]


class Values:
    """Draws values of every kind."""

    def __init__(self, language: str, names: Names, draw: random.Random) -> None:
        self._language, self._names, self._draw = language, names, draw

    def of(self, kind: str, form: str) -> str:
        """A value; ``form`` is of a name or a date."""
        if kind in ("cued", "bare"):
            return self._name(form)
        made = getattr(self, f"_{kind}")
        return made(form) if kind == "date" else made()

    def disturbed(self, value: str) -> str:
        """One in ten with no-break spaces, other dashes, characters without width, or broken across a line."""
        if self._draw.random() > 0.1:
            return value
        change = self._draw.choice(("nbsp", "dash", "width", "line"))
        if change == "nbsp":
            return value.replace(" ", self._draw.choice("\u00a0\u202f\u2009"))
        if change == "dash":
            return value.replace("-", self._draw.choice("\u2010\u2011\u2013"))
        if change == "width":
            at = self._draw.randrange(1, len(value))
            return f"{value[:at]}\u200b{value[at:]}"
        return value.replace(" ", "\n", 1) if value[0].isdigit() else value

    def _digits(self, count: int) -> str:
        return "".join(self._draw.choices(string.digits, k=count))

    def _name(self, form: str) -> str:
        draw = self._draw
        given, family = draw.choice(self._names.given), self._family()
        form = form or draw.choices(("full", "family", "upper", "initial"), (5, 3, 2, 1))[0]
        if draw.random() < 0.08:
            given = f"{given}-{draw.choice(self._names.given)}"
        if form == "title":
            form, title = (
                "full",
                draw.choice(
                    ("Dr ", "Mme ", "M. ", "Pr ") if self._language == "fr" else ("Dr ", "Mr ", "Mrs ")
                ),
            )
            return title + self._name(form)
        return {
            "full": f"{given} {family}",
            "family": family.upper() if draw.random() < 0.15 else family,
            "given": given,
            "upper": f"{family.upper()} {given}",
            "comma": f"{family}, {given}",
            "initial": f"{given[0]}. {family}",
        }[form]

    def _family(self) -> str:
        family, chance = self._draw.choice(self._names.family), self._draw.random()
        if chance < 0.05:
            particle = self._draw.choice(
                ("de ", "de la ", "Le ", "van der ", "El ")
                if self._language == "fr"
                else ("O'", "Mac", "van ", "de ")
            )
            return particle + family
        if chance < 0.11:
            return f"{family}-{self._draw.choice(self._names.family)}"
        return family

    def _date(self, form: str) -> str:
        draw, language = self._draw, self._language
        day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(1930, 2025)
        long, short = MONTHS[language][month - 1], SHORT_MONTHS[language][month - 1]
        if form == "short":
            return f"{day:02}/{month:02}"
        if language == "fr":
            shown = "1er" if day == 1 else str(day)
            forms = [f"{shown} {long} {year}", f"{day} {short} {year}", f"{shown} {long}"]
        else:
            ending = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
            forms = [
                f"{long} {day}, {year}",
                f"{long} {day}{ending}",
                f"{day} {long} {year}",
                f"{short} {day}, {year}",
                f"{day}-{short}-{year}",
            ]
        if form != "long":
            forms += [
                f"{day:02}/{month:02}/{year}",
                f"{year}-{month:02}-{day:02}",
                f"{day:02}.{month:02}.{year}",
                f"{day}/{month}/{year % 100:02}",
                f"{day:02}-{month:02}-{year}",
            ]
        return draw.choice(forms)

    def _age(self) -> str:
        return str(self._draw.randint(90, 104))

    def _place(self) -> str:
        return self._draw.choice(PLACES[self._language])

    def _address(self) -> str:
        draw, number = self._draw, self._draw.randint(1, 250)
        street, city = draw.choice(STREETS[self._language]), draw.choice(CITIES[self._language])
        if self._language == "fr":
            kind = draw.choice(("rue", "avenue", "boulevard", "chemin", "bd", "place"))
            code = f"{draw.randint(1, 95):02}{draw.randint(0, 99) * 10:03}"
            return draw.choice(
                (
                    f"{number} {kind} {street}, {code} {city}",
                    f"{number} bis, {kind} {street} - {code} {city}",
                    f"{number} {kind} {street}\n{code} {city} CEDEX 2",
                    f"{number} {kind} {street}",
                )
            )
        kind = draw.choice(("Street", "Road", "Avenue", "Lane", "Drive", "St", "Rd"))
        state = draw.choice(("OR", "MA", "NY", "TX"))
        area = draw.choice(("SW1A 2AA", "LS1 4AP", "NW1 6XE", "BA2 3QT"))
        return draw.choice(
            (
                f"{number} {street} {kind}, {city}, {state} {draw.randint(10000, 99999)}",
                f"{number} {street} {kind}, {city} {area}",
                f"{number} {street} {kind}, Apt {draw.randint(1, 40)}B",
                f"{number} {street} {kind}",
            )
        )

    def _phone(self) -> str:
        draw, d = self._draw, self._digits
        french = f"0{draw.choice('1234567')}{d(8)}"
        pairs = [french[at : at + 2] for at in range(0, 10, 2)]
        forms = {
            "fr": [
                " ".join(pairs),
                ".".join(pairs),
                french,
                "-".join(pairs),
                f"+33 {french[1]} {' '.join(pairs[1:])}",
                f"+33(0){french[1]}{''.join(pairs[1:])}",
                f"02 {draw.choice('2345678')}{d(2)} {d(2)} {d(2)}",
                f"+41 22 {draw.choice('3457')}{d(2)} {d(2)} {d(2)}",
                f"0470 {d(2)} {d(2)} {d(2)}",
            ],
            "en": [
                f"({draw.randint(201, 989)}) {draw.randint(200, 999)}-{d(4)}",
                f"{draw.randint(201, 989)}-{draw.randint(200, 999)}-{d(4)}",
                f"+1 {draw.randint(201, 989)} {draw.randint(200, 999)} {d(4)}",
                f"07{draw.choice('4578')}{d(2)} {d(6)}",
                f"020 7{d(3)} {d(4)}",
                f"+44 7{d(3)} {d(6)}",
                f"{draw.randint(201, 989)}.{draw.randint(200, 999)}.{d(4)}",
            ],
        }
        return draw.choice(forms[self._language])

    def _email(self) -> str:
        plain = lambda name: re.sub(r"[^a-z]", "", unicodedata.normalize("NFD", name.lower()))  # noqa: E731
        given, family = (
            plain(self._draw.choice(self._names.given)),
            plain(self._draw.choice(self._names.family)),
        )
        return self._draw.choice(
            (
                f"{given}.{family}@example.org",
                f"{given[:1]}{family}{self._digits(2)}@mail.example.com",
                f"{given}_{family}@orange.fr",
            )
        )

    def _url(self) -> str:
        return self._draw.choice(
            (
                f"https://portail.example.org/p/{self._digits(6)}",
                f"www.example.com/results?id={self._digits(5)}",
            )
        )

    def _ip(self) -> str:
        return self._draw.choice(
            (
                ".".join(str(self._draw.randint(1, 254)) for _ in range(4)),
                f"2001:db8::{self._draw.randint(256, 4095):x}:1",
            )
        )

    def _nir(self) -> str:
        draw = self._draw
        department = draw.choice([f"{each:02}" for each in range(1, 96) if each != 20] + ["2A", "2B"] * 5)
        year, month = draw.randint(0, 99), draw.randint(1, 12)
        body = f"{draw.choice('12')}{year:02}{month:02}{department}"
        body += f"{draw.randint(1, 990):03}{draw.randint(1, 990):03}"
        key = 97 - int(body.replace("2A", "19").replace("2B", "18")) % 97
        parts = [body[0], body[1:3], body[3:5], body[5:7], body[7:10], body[10:13], f"{key:02}"]
        return draw.choice(
            (
                " ".join(parts),
                "".join(parts),
                " ".join(parts[:6]),
                "".join(parts[:6]),
                f"{''.join(parts[:6])} {parts[6]}",
                ".".join(parts),
            )
        )

    def _luhn(self, body: str) -> str:
        return body + luhn.calc_check_digit(body)

    def _rpps(self) -> str:
        return self._luhn("10" + self._digits(8))

    def _adeli(self) -> str:
        return f"{self._draw.randint(1, 95):02}{self._digits(7)}"

    def _finess(self) -> str:
        body = self._luhn(f"{self._draw.randint(1, 95):02}0{self._digits(5)}")
        return self._draw.choice((body, f"{body[:2]} {body[2]} {body[3:]}"))

    def _ipp(self) -> str:
        return self._draw.choice(
            (self._digits(8), f"8{self._digits(9)}", f"{self._digits(4)} {self._digits(4)}")
        )

    def _iep(self) -> str:
        return self._draw.choice((self._digits(9), f"A{self._digits(8)}"))

    def _mrn(self) -> str:
        return self._draw.choice(
            (self._digits(7), f"{self._digits(3)}-{self._digits(2)}-{self._digits(3)}", f"M{self._digits(8)}")
        )

    def _passport(self) -> str:
        if self._language == "fr":
            return f"{self._digits(2)}{''.join(self._draw.choices(string.ascii_uppercase, k=2))}{self._digits(5)}"
        return self._digits(9)

    def _iban(self) -> str:
        country, body = self._draw.choice(
            (
                ("FR", self._digits(23)),
                ("BE", self._belgian()),
                ("GB", f"NWBK{self._digits(14)}"),
                ("DE", self._digits(18)),
            )
        )
        if country == "FR":
            body = self._french(body)
        number = country + iban.calc_check_digits(f"{country}00{body}") + body
        return self._draw.choice((number, " ".join(number[at : at + 4] for at in range(0, len(number), 4))))

    def _french(self, body: str) -> str:
        bank, branch, account = body[:5], body[5:10], body[10:21]
        return f"{bank}{branch}{account}{97 - (89 * int(bank) + 15 * int(branch) + 3 * int(account)) % 97:02}"

    def _belgian(self) -> str:
        body = self._digits(10)
        return f"{body}{int(body) % 97 or 97:02}"

    def _ssn(self) -> str:
        return (
            f"{self._draw.randint(1, 665):03}-{self._draw.randint(1, 99):02}-{self._draw.randint(1, 9999):04}"
        )

    def _nhs(self) -> str:
        while True:
            body = self._draw.choice("4567") + self._digits(8)
            check = (
                11
                - sum(int(digit) * weight for digit, weight in zip(body, range(10, 1, -1), strict=True)) % 11
            )
            if check != 10:
                number = f"{body}{check % 11}"
                return self._draw.choice(
                    (
                        number,
                        f"{number[:3]} {number[3:6]} {number[6:]}",
                        f"{number[:3]}-{number[3:6]}-{number[6:]}",
                    )
                )
