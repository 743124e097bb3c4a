"""A text is worth the same in every script: a comma earns nothing, ten more words may."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.words import words
from teams_dagster.environment.reward import RewardConfig, novelty, reward
from teams_dagster.instructions.elimination import Rule, eliminate_rewrite
from teams_dagster.instructions.ngrams import NgramIndex
from teams_dagster.instructions.novelty import Pool, similarity

VOCABULARIES = {
    "Latin": "tide coast moon water explain simple short list three causes daily height rock sand wind".split(),
    "Devanagari": "ज्वार समुद्र चाँद पानी समझाइए सरल छोटा सूची तीन कारण दैनिक ऊँचाई चट्टान रेत हवा".split(),
    "Tamil": "அலை கடல் நிலவு தண்ணீர் விளக்கு எளிய குறுகிய பட்டியல் மூன்று காரணம் தினமும் உயரம் பாறை மணல் காற்று".split(),
    "Thai": "น้ำขึ้น ทะเล จันทร์ น้ำ อธิบาย ง่าย สั้น รายการ สาม สาเหตุ ทุกวัน ความสูง หิน ทราย ลม".split(),
    "Khmer": "ជំនោរ សមុទ្រ ព្រះចន្ទ ទឹក ពន្យល់ ងាយ ខ្លី បញ្ជី បី មូលហេតុ រាល់ថ្ងៃ កម្ពស់ ថ្ម ខ្សាច់ ខ្យល់".split(),
    "Arabic": "مَدٌّ بَحْرٌ قَمَرٌ مَاءٌ اِشْرَحْ سَهْلٌ قَصِيرٌ قَائِمَةٌ ثَلَاثَةٌ سَبَبٌ يَوْمِيٌّ اِرْتِفَاعٌ صَخْرٌ رَمْلٌ رِيحٌ".split(),
    "Hebrew": "גאות חוף ירח מים הסבר פשוט קצר רשימה שלוש סיבות יומי גובה סלע חול רוח".split(),
    "Han": "潮汐 海洋 月亮 水流 解释 简单 短小 列表 三个 原因 每天 高度 岩石 沙滩 风力".split(),
    "Kana": "しお うみ つき みず せつめい かんたん みじか みっつ りゆう まいにち たかさ いわ すな ノート かぜ".split(),
    "Hangul": "조수 바다 달빛 물결 설명 간단한 짧은 목록 셋째 원인 매일 높이 바위 모래 바람".split(),
    "emoji": "🌊 🏖️ 🌙 💧 📣 👍🏽 ✂️ 📋 3️⃣ ❓ 📅 📏 🪨 🏜️ 🇯🇵".split(),
}
MARKS = {
    "Latin": "\u0301\u0308\u0327\u0323\u20dd",
    "Devanagari": "\u093c\u0902\u0951\u0301",
    "Tamil": "\u0bcd\u0951\u0301",
    "Thai": "\u0e48\u0e4c\u0e3a\u0301",
    "Khmer": "\u17c8\u17cd\u17cb\u0301",
    "Arabic": "\u064b\u064e\u0651\u0652\u0670\u0653\u06d6\u0640\u0301",
    "Hebrew": "\u05b0\u05b8\u05bc\u05c1\u0591\u0301",
    "Han": "\u302a\u0301\u20dd\ufe00\U000e0100",
    "Kana": "\u3099\u309a\u0301\ufe00",
    "Hangul": "\u302e\u0301\u115f",
    "emoji": "\ufe0e\ufe0f\u20e3\u20e0\u0301",
}
"""Per script what can be set on its letters: its own marks, and some that it does not have."""
SKIN_TONES = "🏻🏼🏽🏾🏿"
DIGITS = (
    "٠١٢٣٤٥٦٧٨٩",
    "۰۱۲۳۴۵۶۷۸۹",
    "०१२३४५६७८९",
    "๐๑๒๓๔๕๖๗๘๙",
    "០១២៣៤៥៦៧៨៩",
    "０１２３４５６７８９",
    "⁰¹²³⁴⁵⁶⁷⁸⁹",
    "⓪①②③④⑤⑥⑦⑧⑨",
)
UNSPACED = ("Thai", "Khmer", "Han", "Kana", "emoji")
COMMAS = ",，、،､﹐︐፣՝᠂꓾߸⹁\N{INVISIBLE SEPARATOR}"


def between(script: str) -> str:
    return "" if script in UNSPACED else " "


@st.composite
def drawn(draw: st.DrawFn, words: st.SearchStrategy[int]) -> tuple[str, list[str]]:
    script = draw(st.sampled_from(sorted(VOCABULARIES)))
    return script, draw(
        st.lists(st.sampled_from(VOCABULARIES[script]), min_size=(size := draw(words)), max_size=size, unique=True)
    )


def earned(after: str, before: str) -> float:
    """The reward of an edit that costs nothing and that the reviewer accepts."""
    edit, seed = Instruction(after), Instruction(before)
    if eliminate_rewrite(edit, [seed]) is not None:
        return 0.0
    d = novelty(edit, [seed], Pool([seed]))
    return reward(RewardConfig(price=0), accepted=True, novelty=d, queries=2)


@given(drawn(st.integers(2, 10)), st.sampled_from(COMMAS), st.data())
def test_a_comma_never_earns(text: tuple[str, list[str]], comma: str, data: st.DataObject) -> None:
    script, found = text
    at = data.draw(st.integers(1, len(found)))
    gap = between(script)
    seed, edit = gap.join(found), gap.join(found[:at]) + comma + gap + gap.join(found[at:])
    assert earned(edit, seed) == 0


@given(drawn(st.integers(1, 10)), st.sampled_from([*COMMAS, "_", "-", " ", "\u3164", "\u034f"]), st.data())
def test_a_sign_between_any_two_characters_never_earns(
    text: tuple[str, list[str]], sign: str, data: st.DataObject
) -> None:
    script, found = text
    seed = between(script).join(found)
    at = data.draw(st.integers(0, len(seed)))
    assert earned(seed[:at] + sign + seed[at:], seed) == 0


@given(drawn(st.integers(1, 10)), st.sets(st.integers(0, 60), min_size=1), st.data())
def test_marks_on_any_letters_never_earn(text: tuple[str, list[str]], places: set[int], data: st.DataObject) -> None:
    script, found = text
    mark = data.draw(st.sampled_from(MARKS[script]))
    seed = between(script).join(found)
    edit = "".join(letter + mark * (at in places) for at, letter in enumerate(seed))
    assert earned(edit, seed) == 0


@given(drawn(st.integers(1, 8)), st.sampled_from(SKIN_TONES), st.data())
def test_a_skin_tone_anywhere_never_earns(text: tuple[str, list[str]], tone: str, data: st.DataObject) -> None:
    script, found = text
    at = data.draw(st.integers(0, len(found)))
    gap = between(script)
    assert earned(gap.join([*found[:at], tone, *found[at:]]), gap.join(found)) == 0
    assert earned(gap.join(found) + tone, gap.join(found)) == 0


@given(drawn(st.integers(2, 8)), st.integers(0, 99_999), st.sampled_from(DIGITS))
def test_digits_of_another_shape_never_earn(text: tuple[str, list[str]], number: int, digits: str) -> None:
    script, found = text
    gap, shaped = between(script), str(number).translate(dict(zip(map(ord, "0123456789"), digits, strict=True)))
    seed, edit = (gap.join([found[0], figure, *found[1:]]) for figure in (str(number), shaped))
    assert earned(edit, seed) == earned(seed, edit) == 0


@pytest.mark.parametrize(
    ("plain", "adorned"),
    [
        ("اكتب قصيدة قصيرة عن البحر", "اُكْتُبْ قَصِيدَةً قَصِيرَةً عَنِ الْبَحْرِ"),
        ("اشرح المد", "ٱشْرَحِ ٱلْمَدَّ"),
        ("כתוב שיר קצר על הים", "כְּתוֹב שִׁיר קָצָר עַל הַיָּם"),
        ("Explain the café.", "Explain the cafe\u0301\u0301."),
        ("اكتب 250 كلمة", "اكتب ٢٥٠ كلمة"),
        ("What does 👋 mean?", "What does 👋🏽 mean?"),
        ("What does ❤ mean?", "What does ❤️ mean?"),
        ("海を説明して", "海\ufe00を説\U000e0100明して"),
        ("Press 3", "Press 3️⃣"),
        ("물결을 설명", "물\u302e결을 설명"),
    ],
    ids=[
        "harakat",
        "wasla",
        "niqqud",
        "accent twice",
        "digits",
        "skin",
        "selector",
        "ideographic",
        "keycap",
        "Hangul tone",
    ],
)
def test_what_only_adorns_a_text_makes_no_new_word(plain: str, adorned: str) -> None:
    assert similarity(Instruction(plain), Instruction(adorned)) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("resume", "résumé"),
        ("schon", "schön"),
        ("कम", "काम"),
        ("ขาว", "ข้าว"),
        ("កក", "កាក"),
        ("かき", "かぎ"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🏴"),
    ],
    ids=["French", "German", "Hindi", "Thai", "Khmer", "Japanese", "flags"],
)
def test_marks_that_spell_make_another_word(one: str, other: str) -> None:
    assert words(one) != words(other)


@pytest.mark.parametrize(
    ("seed", "edit"),
    [
        ("List 1000 rivers.", "List 1,000 rivers."),
        ("List 1000000 rivers.", "List 1 000 000 rivers."),
        ("लिखो १००००० शब्द", "लिखो १,००,००० शब्द"),
        ("اكتب ١٠٠٠ كلمة", "اكتب ١٬٠٠٠ كلمة"),
        ("写1000字", "写１，０００字"),
    ],
    ids=["thousands", "by spaces", "lakh", "Arabic", "full width"],
)
def test_a_number_written_in_groups_never_earns(seed: str, edit: str) -> None:
    assert earned(edit, seed) == earned(seed, edit) == 0


@given(drawn(st.integers(6, 12)), st.sampled_from(["reordered", "one again", "all again", "each word twice"]))
def test_the_same_words_again_or_in_other_places_never_earn(text: tuple[str, list[str]], how: str) -> None:
    script, found = text
    found = [word for word in found if word != "3️⃣"]  # twice it is another number
    gap, end = between(script), "。" if script in ("Han", "Kana") else ". "
    half = len(found) // 2
    one, other = gap.join(found[:half]), gap.join(found[half:])
    seed = one + end + other + end
    edit = {
        "reordered": other + end + one + end,
        "one again": seed + one + end,
        "all again": seed + seed,
        "each word twice": gap.join(f"{word}{gap}{word}" for word in found),
    }[how]
    assert earned(edit, seed) == 0


FILLERS = ("🎉 {}", "{} 🚀✨", "Please {}", "Dear assistant, {}", "Hello! {}", "{}\nThank you!", "请{}", "Bitte {}")
LAYOUTS = ("**{}**", "_{}_", "# {}", "1. {}", "```text\n{}\n```", "<b>{}</b>", "<p>{}</p>", "> {}")


@given(drawn(st.integers(3, 12)), st.sampled_from(FILLERS), st.sampled_from(LAYOUTS))
def test_courtesy_emoji_and_layout_never_earn(text: tuple[str, list[str]], filler: str, layout: str) -> None:
    script, found = text
    seed = between(script).join(found)
    assume(script != "emoji")  # whose texts have emoji for words
    assert earned(layout.format(filler.format(seed)), seed) == 0


def by_letter(first: str) -> dict[int, str]:
    return {ord("a") + at: chr(ord(first) + at) for at in range(26)}


SHAPES = {
    "small capitals": dict(zip(map(ord, "abcdefghijklmnoprtuvwyz"), "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀᴛᴜᴠᴡʏᴢ", strict=True)),
    "mathematical": by_letter("𝐚"),
    "circled": by_letter("ⓐ"),
    "white on black": by_letter("🅐"),
    "squared": by_letter("🅰"),
    "upside down": str.maketrans("aecfhikmrtvwy", "ɐǝɔɟɥᴉʞɯɹʇʌʍʎ"),
    "digits": str.maketrans("aeiots", "431075"),
    "signs": str.maketrans("as", "@$"),
    "Greek": str.maketrans("aeop", "αεορ"),
}


@given(
    st.lists(st.sampled_from(VOCABULARIES["Latin"]), min_size=2, max_size=12, unique=True),
    st.sampled_from(sorted(SHAPES)),
)
def test_letters_of_another_shape_never_earn(found: list[str], shape: str) -> None:
    seed = " ".join(found)
    assert earned(seed.translate(SHAPES[shape]), seed) == 0


@given(st.lists(st.sampled_from(VOCABULARIES["Kana"]), min_size=1, max_size=10, unique=True))
def test_katakana_for_hiragana_never_earns(found: list[str]) -> None:
    seed = "海の" + "".join(found)
    shaped = "".join(chr(ord(letter) + 0x60) if "ぁ" <= letter <= "ゖ" else letter for letter in seed)
    assert earned(shaped, seed) == earned(seed, shaped) == 0


@pytest.mark.parametrize(
    ("simplified", "traditional"),
    [
        ("请解释潮汐为什么会涨落。", "請解釋潮汐為什麼會漲落。"),
        ("写一首关于台湾夏天的诗。", "寫一首關於臺灣夏天的詩。"),
        ("皇后以后去了哪里？", "皇后以後去了哪裡？"),
    ],
)
def test_traditional_characters_for_simplified_ones_never_earn(simplified: str, traditional: str) -> None:
    assert earned(traditional, simplified) == earned(simplified, traditional) == 0


@pytest.mark.parametrize(
    ("seed", "edit"),
    [
        ("Say año.", "Say año and ano, and tell what each of them means in Spanish."),
        ("Name a fish.", "Name 4 fish that swim up rivers in the autumn to spawn."),
        ("What does 👋 mean?", "What does 👋 mean, and what does 🙏 mean to people in Japan and India?"),
        ("Translate 'good night' into French.", "Translate 'thank you, my friend, and good luck' into French."),
        ("この本のノートを書いて。", "この本のノートを三つの短い章に分けて、子どもにもわかる言葉で書いて。"),
        ("写一首诗。", "写一首关于台湾夏天的诗，不超过八行，并且押韵。"),
        ("Write a story.", "Write a story. Start each paragraph with an emoji that fits what is told in it."),
    ],
)
def test_what_is_added_in_such_words_earns_all_the_same(seed: str, edit: str) -> None:
    assert earned(edit, seed) == 1


@given(drawn(st.just(15)), st.integers(2, 5), st.sampled_from(["{}", *FILLERS]))
def test_a_constraint_of_ten_words_may_always_earn_the_full_reward(
    text: tuple[str, list[str]], size: int, filler: str
) -> None:
    script, found = text
    gap = between(script)
    seed, edit = gap.join(found[:size]), filler.format(gap.join(found[: size + 10]))
    assert earned(edit, seed) == 1


@pytest.mark.parametrize(
    ("seed", "edit"),
    [
        ("Was macht ein Bäcker?", "Was macht ein Ba\u0308cker?"),
        ("How is tea made?", "Ｈｏｗ ｉｓ ｔｅａ ｍａｄｅ？"),
        ("ラーメンの作り方", "ﾗｰﾒﾝの作り方"),
        ("می‌خواهم شعر بنویسم", "میخواهم شعر بنویسم"),
    ],
    ids=["decomposed", "full width", "half width", "without joiners"],
)
def test_another_form_of_the_same_letters_returns_to_the_text(seed: str, edit: str) -> None:
    assert eliminate_rewrite(Instruction(edit), [Instruction(seed)]) is Rule.RETURNED


QUESTIONS = {
    "English": ("Answer the following question: ", "Why do tides rise?", "Who paints walls?"),
    "Hindi": ("निम्नलिखित प्रश्न का उत्तर दीजिए: ", "ज्वार क्यों आता है?", "दीवार कौन रंगता है?"),
    "Tamil": ("பின்வரும் கேள்விக்கு பதிலளிக்கவும்: ", "அலை ஏன் எழுகிறது?", "சுவரை யார் வரைகிறார்?"),
    "Bengali": ("নিম্নলিখিত প্রশ্নের উত্তর দাও: ", "জোয়ার কেন আসে?", "দেয়াল কে রং করে?"),
    "Thai": ("โปรดตอบคำถามต่อไปนี้: ", "ทำไมน้ำขึ้น", "ใครทาสีกำแพง"),
    "Khmer": ("សូមឆ្លើយសំណួរខាងក្រោមនេះ៖ ", "ហេតុអ្វីទឹកឡើង", "អ្នកណាលាបជញ្ជាំង"),
    "Arabic": ("أَجِبْ عَنِ السُّؤَالِ التَّالِي: ", "لِمَاذَا يَرْتَفِعُ الْمَدُّ؟", "مَنْ يَدْهُنُ الْجِدَارَ؟"),
    "Chinese": ("请根据以下内容回答下面的问题：", "潮水为什么上涨？", "谁在刷墙？"),
    "Japanese": ("以下の質問に答えてください：", "なぜ潮は満ちるのか。", "誰が壁を塗るのか。"),
}


@pytest.mark.parametrize("parts", QUESTIONS.values(), ids=QUESTIONS)
def test_a_phrase_that_everybody_writes_contaminates_no_seed(parts: tuple[str, str, str]) -> None:
    phrase, evaluated, own = parts
    assert NgramIndex([phrase + evaluated]).overlap(phrase + own) is None
    assert NgramIndex([phrase + evaluated]).overlap(phrase + evaluated) is not None
