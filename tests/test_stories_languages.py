"""Languages: by letters, by little words, and whom to believe where feed and words disagree."""

from __future__ import annotations

import time

import pytest
from builders import NOW

from aggregator.stories.languages import detected, language_of

SENTENCES = {
    "en": "The harbour town has opened its new market hall after two years of work",
    "de": "Die Hafenstadt hat nach zwei Jahren ihre neue Markthalle eröffnet",
    "fr": "La ville a ouvert sa nouvelle halle après deux ans de travaux dans le port",
    "es": "La ciudad del puerto abre su nuevo mercado después de dos años de obras",
    "it": "La città apre il nuovo mercato del porto dopo due anni di lavori",
    "pt": "A cidade abre o novo mercado do porto depois de dois anos de obras, não sem custos",
    "nl": "De havenstad opent na twee jaar de nieuwe markthal en dat is niet alles",
    "sv": "Hamnstaden öppnar efter två år sin nya saluhall och det är inte allt",
    "da": "Havnebyen får en ny torvehal efter to år, men hun siger at ingen ved hvad den bliver brugt til af byen",
    "fi": "Satamakaupunki avaa uuden kauppahallin kahden vuoden jälkeen mutta se ei ole kaikki",
    "pl": "Miasto portowe otwiera nową halę targową po dwóch latach, ale to nie jest wszystko",
    "cs": "Přístavní město otevírá po dvou letech novou tržnici, ale to není vše, říká starosta",
    "hu": "A kikötőváros két év után új vásárcsarnokot nyit, és ez még nem minden",
    "ro": "Orașul portuar deschide după doi ani o nouă hală și nu este totul",
    "tr": "Liman kenti iki yıl sonra yeni bir pazar yeri açıyor ve bu daha ilk adım",
    "ru": "Портовый город открыл новый рынок после двух лет работы",
    "uk": "Портове місто відкрило новий ринок після двох років роботи",
    "el": "Η πόλη άνοιξε τη νέα αγορά μετά από δύο χρόνια",
    "ja": "港の町に新しい市場が開いた",
    "zh": "港口城市的新市场开业",
    "ko": "항구 도시에 새 시장이 문을 열었다",
    "ar": "افتتحت المدينة سوقها الجديدة بعد عامين",
    "fa": "شهر بندری پس از دو سال بازار تازه‌ای گشود و گفت",
    "he": "עיר הנמל פתחה שוק חדש אחרי שנתיים",
    "hi": "बंदरगाह शहर ने दो साल बाद नया बाज़ार खोला",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_tells_its_language(code):
    assert detected(SENTENCES[code]).code == code


@pytest.mark.parametrize("text", ["", "2026", "Quillon Fernbank Otterly", "São Paulo Fashion Week", "🐒"])
def test_what_could_be_anything_is_left_open(text):
    assert detected(text).code is None


def test_a_name_in_another_script_makes_no_foreign_text():
    assert detected("The founder of Яндекс has sold his shares in the company").code == "en"


def test_the_feeds_word_counts_where_words_tell_little():
    said = language_of(["Quillon Fernbank"], "de-AT")
    assert (said.code, said.is_sure) == ("de", False)
    assert "feed says de" in said.why


@pytest.mark.parametrize(
    ("claimed", "code"), [("es", "en"), ("en-US", "en"), (None, "en"), ("", "en"), ("x-klingon", "en")]
)
def test_words_that_leave_no_doubt_overrule_a_template(claimed, code):
    assert language_of([SENTENCES["en"]], claimed).code == code


def test_an_overruled_feed_is_named_in_the_reason():
    said = language_of([SENTENCES["de"]], "en")
    assert (said.code, said.is_sure) == ("de", True)
    assert "though its feed says en" in said.why
    assert "nach" in said.why or "die" in said.why


@pytest.mark.parametrize(("claimed", "sentence"), [("no", "da"), ("sk", "cs")])
def test_close_relatives_are_left_to_the_feed(claimed, sentence):
    assert language_of([SENTENCES[sentence]], claimed).code == claimed


def test_codes_are_brought_into_one_form():
    assert language_of(["Quillon"], "nb_NO").code == "no"
    assert language_of(["Quillon"], " DE-de ").code == "de"


def test_real_feeds_in_other_languages_are_recognised(shared):
    from aggregator import html
    from aggregator.ingest.parse import parse
    from aggregator.types import ParsedFeed

    right = wrong = 0
    for file in sorted((shared / "feeds").iterdir()):
        document = file.read_bytes()
        if not any(
            mark in document[:2000] for mark in (b"<language>de", b"<language>sv", b"<language>fr", b"<language>pt")
        ):
            continue
        parsed = parse(document, f"https://example.org/{file.name}", now=NOW)
        if isinstance(parsed, ParsedFeed) and parsed.language:
            for entry in parsed.entries:
                found = detected(f"{entry.title} {html.to_text(entry.summary or entry.content or '')}").code
                right += found == parsed.language[:2]
                wrong += found not in (parsed.language[:2], None)
    assert right > 500
    assert wrong < 0.02 * right


def test_detection_costs_little():
    text = SENTENCES["en"] * 4
    start = time.process_time()
    for _ in range(300):
        detected(text)
    assert (time.process_time() - start) / 300 < 0.002
