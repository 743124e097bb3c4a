"""What people put around a task to be polite, by language: it asks for nothing."""

from __future__ import annotations

import regex

_WHOM = (
    r"(?:assistant|ai|chat ?gpt|chatbot|bot|model|sir|madam|friend|expert|team|reader|there|all|everyone"
    r"|asistente|assistente|assistent|freund|amig[oa]|ami)"
)

_GREETING = (
    r"(?:dear|hello|hi|hey|good (?:morning|day|afternoon|evening)|greetings|hallo|guten tag|liebe[rs]?"
    r"|hola|buenos días|estimad[oa]|querid[oa]|bonjour|salut|cher|chère|ciao|buongiorno|caro|cara|olá|oi|bom dia"
    r"|merhaba|cześć|dzień dobry|hoi|halo|xin chào|здравствуйте|привет|добрый день)"
    rf"(?: {_WHOM}){{0,2}}"
    r"|(?:亲爱的|親愛的)?(?:助手|朋友)?(?:您好|你好)|(?:亲爱的|親愛的)(?:助手|朋友)"
    r"|こんにちは|안녕하세요|नमस्ते|مرحبا|السلام عليكم"
)

_REQUEST = (
    r"(?:(?:could|can|would|will) you (?:please |kindly )?|i(?:'d| would) (?:like|want) you to |i (?:want|need) you to "
    r"|please |kindly |(?:können|könnten) sie (?:bitte )?|kannst du (?:bitte )?"
    r"|¿?(?:puedes|podrías|podría) (?:por favor )?|(?:peux-tu|pouvez-vous|pourriez-vous) )"
)

_THANKS = (
    r"(?:(?:many )?thanks?(?: you)?(?: so much| very much| a lot| in advance)*|cheers"
    r"|danke(?: schön)?|vielen dank(?: im voraus)?|(?:muchas )?gracias(?: de antemano)?|merci(?: beaucoup| d'avance)?"
    r"|grazie(?: mille)?|obrigad[oa]|teşekkürler|dziękuję|dank je|bedankt|terima kasih|cảm ơn|спасибо(?: большое)?"
    r"|谢谢[您你]?|謝謝[您你]?|ありがとうございます|감사합니다|धन्यवाद|شكرا)"
)

_ANYWHERE = (
    r"please|kindly|bitte|por favor|s'il (?:te|vous) plaît|per favore|per piacere|пожалуйста|proszę|lütfen"
    r"|alsjeblieft|alstublieft|tolong|vui lòng|من فضلك|कृपया"
)

COURTESY = regex.compile(
    rf"\A\W*(?:{_GREETING})(?!\w)[\s,!.:，！。、–-]*"
    rf"|(?:\A|(?<=[.!?\n,]\s{{0,40}})){_REQUEST}"
    rf"|(?<!\w){_THANKS}(?!\w)\W*(?=\Z|\n)"
    rf"|(?<!\w)(?:{_ANYWHERE})(?!\w)|[请請](?![求教假])",
    regex.IGNORECASE,
)
"""A greeting at the beginning, thanks at an end, `please` anywhere, and what turns an order into a question."""
