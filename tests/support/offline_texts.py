"""Instructions of every kind that the specification of the offline model speaks about, and how to generate more."""

from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction

WRITING = Instruction("Write a poem about a wet dog.")
EXPLANATION = Instruction("Explain why bread rises in a warm kitchen.")
ARITHMETIC = Instruction("What is 15 percent of 80 euros?")
CLASSIFICATION = Instruction(
    "Classify the review as positive or negative.", "The soup was cold and the waiter was rude."
)
CODE = Instruction("Write a Python function that reverses a list.")
EXTRACTION = Instruction("Extract every date from the note.", "Ana came on 3 May 2021 and left on 9 June 2022.")
TRANSFORM = Instruction("Rewrite the message so that it sounds polite.", "Send me the file now.")
LISTING = Instruction("List five vegetables that grow in the shade.")
PLAN = Instruction("Plan a birthday party for a company.")
FACT = Instruction("Who painted the ceiling of the chapel?")
UNKNOWN = Instruction("Zorble the frinkle twice.")

EVERY_KIND = (
    WRITING,
    EXPLANATION,
    ARITHMETIC,
    CLASSIFICATION,
    CODE,
    EXTRACTION,
    TRANSFORM,
    LISTING,
    PLAN,
    FACT,
    UNKNOWN,
    Instruction(
        "Summarize this e-mail in one sentence:", "Dear Olivia,\n\nthe fair went well. We sold out.\n\nYours, Ben"
    ),
    Instruction("Question: in which year did the bridge open?\nAnswer:"),
    Instruction("Use the table.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nWhat is the total of b?"),
    Instruction("is there anything science can't explain"),
)

_WORDS = (
    "write explain list calculate why how the a an animal company people city about of for with in two 12 7% poem"
    ' recipe table music bread space history please not without "quoted" JSON, step by step. should what? : def'
).split()

texts = st.one_of(
    st.lists(st.sampled_from(_WORDS), min_size=1, max_size=25).map(" ".join),
    st.text(min_size=1, max_size=80).filter(lambda text: text.strip() != ""),
)
instructions = st.one_of(
    st.sampled_from(EVERY_KIND),
    st.builds(Instruction, texts, st.one_of(st.just(""), texts, st.sampled_from([one.input for one in EVERY_KIND]))),
)
