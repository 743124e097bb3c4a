"""One notion of word in every script."""

from __future__ import annotations

import unicodedata

import pytest

from teams_dagster.core.words import length_in_words, segmentation_version, word_count, words

NINE = {
    "Hindi": "कृपया निम्नलिखित प्रश्नों के उत्तर हिन्दी में विस्तार से",
    "Tamil": "பின்வரும் கேள்விக்கு தமிழில் விரிவாகப் பதில் அளித்து ஒரு எடுத்துக்காட்டையும் கூறவும்",
    "Bengali": "নিচের প্রশ্নের উত্তর বাংলায় বিস্তারিতভাবে দাও এবং একটি উদাহরণ",
    "vocalised Arabic": "اُكْتُبْ قَصِيدَةً قَصِيرَةً عَنِ الْبَحْرِ ثُمَّ اِشْرَحْ مَعْنَى كَلِمَاتِهَا",
    "decomposed Vietnamese": unicodedata.normalize("NFD", "Hãy giải thích thuỷ triều bằng ba câu ngắn"),
    "Korean": "다음 질문에 한국어로 자세히 답하고 예를 하나 들어 주세요",
    "Persian with joiners": "می‌خواهم دربارهٔ دریا یک شعر کوتاه و زیبا بنویسم",
}


@pytest.mark.parametrize("text", NINE.values(), ids=NINE)
def test_marks_split_no_word(text: str) -> None:
    assert len(words(text)) == 9
    assert word_count(words(text)) == 9


@pytest.mark.parametrize(
    "text",
    ["อธิบายว่าน้ำขึ้นน้ำลงเกิดขึ้นได้อย่างไร", "សូមសរសេរកំណាព្យខ្លីមួយអំពីសមុទ្រដ៏ធំ", "请解释海洋潮汐是如何每天形成的"],
    ids=["Thai", "Khmer", "Chinese"],
)
def test_a_sentence_of_about_nine_words_in_a_script_without_spaces_counts_as_about_as_many(text: str) -> None:
    assert 6 <= word_count(words(text)) <= 12


BY_DICTIONARY = {
    "อธิบายว่าน้ำขึ้นน้ำลงเกิดขึ้นได้อย่างไร": 9,
    "เขียนบทกวีสั้นเกี่ยวกับทะเลและอธิบายความหมายของแต่ละบรรทัด": 14,
    "จงเปรียบเทียบระบบเศรษฐกิจของประเทศไทยกับประเทศญี่ปุ่นในศตวรรษที่ยี่สิบ": 14,
    "សូមសរសេរកំណាព្យខ្លីមួយអំពីសមុទ្រដ៏ធំ": 9,
    "សូមពន្យល់ពីមូលហេតុដែលទឹកជំនន់កើតឡើងនៅក្នុងប្រទេសកម្ពុជា": 10,
    "请解释海洋潮汐是如何每天形成的": 9,
    "海の満ち引きがどのように起こるのかを簡単に説明してください": 20,
}
"""Sentences, with the words that ICU's dictionaries find in them."""


@pytest.mark.parametrize(("text", "found"), BY_DICTIONARY.items())
def test_a_length_in_a_script_without_spaces_is_as_near_to_a_dictionarys_as_the_documentation_says(
    text: str, found: int
) -> None:
    assert -0.31 <= word_count(words(text)) / found - 1 <= 0.36


def test_scripts_without_spaces_are_read_by_characters_with_their_marks() -> None:
    assert words("写一首abc诗") == ["写", "一", "首", "abc", "诗"]
    assert words("コーヒー") == ["コ", "ー", "ヒ", "ー"]
    assert words("นี้ดี") == ["นี้", "ดี"]


@pytest.mark.parametrize(
    "other",
    ["Ｂäcker", "Ba\u0308cker", "bäc\u00adker", "Bä\u200dcker", "Bä\u200bcker", "B\ufe0fäcker"],
    ids=["full width", "decomposed", "soft hyphen", "joiner", "no width", "selector"],
)
def test_forms_that_look_the_same_are_the_same_words(other: str) -> None:
    assert words(other) == words("Bäcker")


def test_an_emoji_is_a_word_whatever_it_is_made_of() -> None:
    assert len(words("👍🏽 🇯🇵 ❤️")) == 3


def test_a_word_of_latin_letters_is_what_it_was() -> None:
    assert words("It’s  3.5 km; naïve snake_case—ŒUVRE") == ["it", "s", "3", "5", "km", "naïve", "snake_case", "œuvre"]
    assert segmentation_version(["It’s  3.5 km; naïve snake_case—ŒUVRE"]) == ()


def test_a_length_counts_what_stands_between_spaces_and_characters_where_there_are_none() -> None:
    assert length_in_words("It's 3.5 km — naïve.") == 5
    assert length_in_words("潮汐是如何形成的") == 4


def test_versions_tell_texts_whose_words_are_others_than_before() -> None:
    assert segmentation_version(["Explain tides.", "दिन"]) != ()
    assert segmentation_version(["Explain tides.", "写诗"]) != ()


@pytest.mark.parametrize(
    ("one", "other"),
    [("كتاب جميل", "كتـــاب جميلـ"), ("📅 tea", "📅\ufe0f tea"), ("moon", "moonـ")],
    ids=["stretched letters", "an emoji called one", "stretched Latin"],
)
def test_what_only_changes_how_a_text_looks_is_no_part_of_a_word(one: str, other: str) -> None:
    assert words(one) == words(other)
