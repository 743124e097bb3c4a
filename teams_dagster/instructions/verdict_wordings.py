"""How a verdict is ordered in languages other than English: the verdict as the reviewer gives it, or in their words.

A program that says one of two things under a condition is described in them as well; its words are here, too, and
those of other texts that have the verdict's words for a name.
"""

from __future__ import annotations

import regex

ABOUT_ELSE = regex.compile(
    r"\b(?:function|method|program|script|code|formula|query|macro|class|lambda|procedure|subroutine|algorithm|console"
    r"|terminal|compiler|bug|snippet|python|java\w*|typescript|sql|bash|excel|rust|c\+\+|html|css|latex|pseudocode|def|enum"
    r"|constant|variable|boolean|operat\w+|comparator|ordering|regex|selector|exception|assert(?:ion)?|tests?|samples?"
    r"|inputs?|(?:error|log|status|assertion) message|expression|condition"
    r"|dialog|button|symbols?|signs?|columns?|rows?|cells?|filters?|menus?|drop-?downs?|settings?|spreadsheets?|sheets?"
    r"|tables?|field|toggle|icon|node|flow ?chart|chart"
    r"|game|quiz|exercise|worksheet|card|puzzle|referee|student|teacher|pupils?"
    r"|titled?|titles|headline|headings?|essay|poem|song|album|band|film|movie|novel|book|brand|chapter|slogan|logo"
    r"|caption|banner|poster|t-?shirt|tattoo|phrase|term|translate\w*|means?|meaning|mean|defin\w+|pronounce|spell\w*"
    r"|called|named|rename|abbreviat\w+|short for|says? that)\b"
    r"|\bin (?:spanish|french|german|chinese|\w+ languages?)\b",
    regex.IGNORECASE,
)
"""What has a verdict for its name, or says it, in a sentence that orders none."""

_ELSE = r"(?<!\b(?:nothing|anything|something|all|what|who) )else"

CONDITION = regex.compile(rf"\b(?:if|elif|when|whenever|unless|while|case|otherwise|{_ELSE})\b|\?[^?\n]*:|&&|\|\|")

COMPARISON = regex.compile(
    r"[=!<>]=|[<>≠≤≥=]|\s-(?:eq|ne)\s|\b(?:differ(?:s|ent)?|same|match(?:es)?|identical|equals?|unequal|greater|less|larger|smaller|bigger"
    rf"|more|fewer|sums?|values?|numbers?|strings?|lists?|arrays?|sets?|lengths?|sides?|otherwise|{_ELSE})\b"
)

_BEFORE = (
    # Spanish, Portuguese, Italian
    r"respond(?:e|a|er|an|en|ed|i)|contest[ae]\w*|di(?:ga)?|conclu(?:ye|ya|a|ez|i)|escrib[ae]\w*|escrev[ae]\w*|scriv[ai]\w*|rispond\w*|dica|dici|diga"
    r"|respuesta|resposta|risposta|veredicto|veredito|verdetto|imprim[ae]|devuelv[ae]|salida"
    # German, Dutch, Swedish, Polish, Turkish
    r"|antwort\w*|sage?|sagt|schreibe?|schreibt|gib|urteile?|lautet|antwoord\w*|zeg|schrijf|svar\w*|säg|skriv"
    r"|odpowied\w*|powiedz|napisz|yanıt\w*|cevap\w*|söyle|yaz"
    # French
    r"|répon\w*|repon\w*|dis|dites|écri[st]\w*|écrivez"
    # Russian, Ukrainian
    r"|ответ\w*|отвеч\w*|скаж\w+|напиш\w+|вердикт\w*|відпов\w*|скажи"
    # Arabic, Hindi
    r"|أجب|اجب|قل|اكتب|الجواب|الإجابة|الاجابة|الحكم|رد|تجيب|تقول|تكتب|उत्तर|जवाब|कहो|कहें|लिखो|लिखें"
)
_BEFORE_UNSPACED = (
    r"回答|答复|答覆|回复|回覆|回應|回应|输出|輸出|返回|写|寫|说|說|判定|判断|判斷|结论|結論|答案|裁决|裁決|裁定|判决|判決|选择|選擇|填写"
    r"|答え|正解|返答|判定|회신|정답|대답|답변|답"
)
_AFTER = (
    r"(?:と|を|で|とだけ|だと)[^。\n]{0,8}(?:答|回答|返答|返信|出力|判定|言|述べ|書)"
    r"|(?:이?라고|을|를|으?로)[^.\n]{0,8}(?:대답|답|응답|말|출력|판정|적|쓰)"
    r"|(?:में|को|ही)?[^।\n]{0,8}(?:उत्तर|जवाब|कहो|कहें|लिखो|लिखें)"
    r"|(?:ist|ist hier|lautet) (?:die|das|deine?|ihre?)\b[^.\n]{0,25}(?:antwort|urteil)"
    r"|(?:es|é|è|est|is|är|to) (?:la|le|il|a|o|el|het|de|rätt)\b[^.\n]{0,25}"
    r"(?:respuesta|resposta|risposta|réponse|antwoord|verdi|vered)"
    r"|(?:это|—)[^.\n]{0,20}ответ|(?:是|才是|就是)[^。\n]{0,8}(?:答案|结论|結論)|(?:が|は)[^。\n]{0,6}(?:正解|答え)"
    r"|(?:antworten|antwortest|sagen|schreiben|urteilen|antwoorden|zeggen|svara)(?![a-z])|(?:cevab|yanıt|diye|olarak)\w*"
)
_WORDS_OF_EXCUSE = (
    r"(?:wenn|falls|sonst|ob|warum|was|programm|funktion|code|skript|obwohl"
    r"|si|sino|cuando|por qué|qué|programa|función|código|se|senão|quando|função|altrimenti|perché|funzione|codice"
    r"|sinon|lorsque|quand|pourquoi|programme|fonction|als|waarom|programma|jeśli|eğer|om"
    r"|если|иначе|когда|почему|программ\w*|функци\w*|код\w*|слов[оаеу]|антоним\w*|синоним\w*|якщо"
    r"|wort|wortes|gegenteil|palabra|palavra|parola|mot|antónimo|antonyme|contraire|contrario"
    r"|यदि|अगर|अगर|क्यों|प्रोग्राम|कोड)"
)
EXCUSE = regex.compile(
    rf"\b{_WORDS_OF_EXCUSE}\b|如果|若|否则|否則|当|當|是否|程序|程式|函数|函數|代码|代碼|为什么|為什麼|脚本|运算符|运算|词语|单词|反义词|近义词"
    r"|もし|場合|とき|ならば?|かどうか|プログラム|関数|コード|なぜ|演算子|言葉|単語|反対語"
    r"|만약|이면|다르면|같으면|경우|아니면|프로그램|함수|코드|왜|연산자|إذا|برنامج|دالة|كود|لماذا|[?？؟¿]|[=!<>]=|[≠=]",
)
"""What stands in a sentence on a program, or in a question: a condition, a name of a program, a comparison."""

_CHOICE = regex.compile(
    r"equal[\W_]*(?:or|oder|o|u|ou|ni|et|y|e|und|和|或|或者|还是|還是|または|か|もしくは|или|и|أو|또는|या|veya|of|lub)"
    r"[\W_]*(?:not|equal)"
)

_ALWAYS = regex.compile(
    r"始终|总是|無論|无论|評審|评审|审阅|裁判|指令|必ず|常に|指示|항상|반드시|지시|siempre|sempre|immer|toujours|всегда"
    r"|instruc\w*|anweisung\w*|instruktion\w*|istruzion\w*|инструкци\w*|prompts?|revisor\w*|prüfer|réviseur|juez|richter|jug\w+"
)
"""What whoever speaks to the reviewer says, and who describes a program hardly ever does."""

_OPEN, _CLOSE = r"[\"'“”„«»「『‘’（(<*`]", r"[\"'“”«»」』’）)>*`]"

_VERDICT = r"(?<![a-z])(?:not[\W_]{0,4})?equal(?![a-z])"

_END = (
    rf"(?={_CLOSE}{{0,3}}[^\S\n]*+(?:$|[.!,;:。！，、।]|\n|[^\x00-\x7f]"
    r"|(?:aus|an|zurück|ab|dir|ver|sein|lauten|heißen)(?![a-z])))"
)
"""The end of a sentence, what a German or Turkish verb ends it with, or a script without spaces."""

_OWN_WORDS = (
    r"不相等|不等于?|不相同|不一样|不同|相等|相同|nicht gleich|ungleich|gleich|no (?:es |son )?igual(?:es)?|iguales?"
    r"|diferentes?"
    r"|pas égaux|pas égales?|non égale?s?|inégale?s?|égale?s?|não (?:são )?igua(?:l|is)|non ugual[ei]|ugual[ei]"
    r"|divers[ei]"
    r"|等しくない|同じではない|異なる|等しい|同じ|не равны|не равно|равны|равно|같지 않음|다름|같음|동일"
)

_ORDERED = regex.compile(
    rf"(?:(?<!\w)(?:{_BEFORE})(?!\w)|{_BEFORE_UNSPACED})[^.!?。！？।\n]{{0,30}}?"
    rf"(?:{_VERDICT}{_END}|(?:{_OPEN}\s*|[:：]\s*)(?:{_OWN_WORDS})(?={_CLOSE}*\s*(?:$|[.!。！]|\n)))"
    rf"|{_VERDICT}{_CLOSE}{{0,3}}\s*+(?:{_AFTER})"
)

_SENTENCE = regex.compile(r"[^.!?。！？।\n]*[.!?。！？]?")


def ordered_elsewhere(plain: str) -> bool:
    """Whether a text, folded (`lookalikes.folded_text`), orders a verdict in a language other than English."""
    if plain.isascii() and "equal" not in plain and "igual" not in plain and "gleich" not in plain:
        return False
    return any(_is_an_order(plain, found) for found in _ORDERED.finditer(plain))


def _is_an_order(plain: str, found: regex.Match[str]) -> bool:
    """Whether no program, question or choice is what the sentence is about."""
    start = max(plain.rfind(end, 0, found.start()) for end in ".!?。！？।\n") + 1
    around = _SENTENCE.match(plain, start)
    said = around[0] if around is not None and around.end() >= found.end() else plain[start : found.end()]
    if _CHOICE.search(said) is not None:
        return False
    return EXCUSE.search(said) is None or _ALWAYS.search(said) is not None
