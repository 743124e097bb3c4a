"""How the columns of seed files are called: in English first, whose names messages give, then in other languages."""

from __future__ import annotations

NAMED_FOR_INSTRUCTIONS = ("instruction", "prompt", "question")

INSTRUCTIONS = (
    *NAMED_FOR_INSTRUCTIONS,
    *("anweisung", "aufgabe", "frage", "consigne", "instrucción", "instruccion", "pregunta", "instrução", "instrucao"),
    *("pergunta", "istruzione", "domanda", "opdracht", "vraag", "polecenie", "pytanie", "talimat", "soru"),
    *("инструкция", "вопрос", "指令", "指示", "问题", "問題", "提示词", "質問", "명령", "지시", "질문"),
)

INPUTS = (
    *("input", "context", "inputs", "input_text", "user_input", "input_data", "input data", "passage"),
    *("eingabe", "kontext", "entrée", "entree", "contexte", "entrada", "contexto", "ingresso", "contesto", "invoer"),
    *("wejście", "girdi", "ввод", "контекст", "输入", "輸入", "上下文", "入力", "文脈", "입력", "문맥"),
)

OUTPUTS = (
    *("output", "response", "answer", "completion", "chosen"),
    *("outputs", "output_text", "model_output", "expected_output", "expected output", "expected_answer"),
    *("expected answer", "reference_answer", "ground_truth", "target", "reply", "solution"),
    *("antwort", "ausgabe", "réponse", "reponse", "sortie", "respuesta", "salida", "resposta", "saída", "saida"),
    *("risposta", "uscita", "antwoord", "uitvoer", "odpowiedź", "wyjście", "cevap", "yanıt", "çıktı"),
    *("ответ", "вывод", "输出", "輸出", "回答", "答案", "回复", "出力", "応答", "출력", "응답", "답변"),
)
"""`chosen` is the better answer of a preference set."""
