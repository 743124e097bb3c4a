from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from teams_dagster.policy.comparison.plan import compared_algorithm
from teams_dagster.report.content import (
    DatasetResults,
    GenerationResults,
    ModelResults,
    PairRatings,
    PolicyResults,
    RatedOperation,
    Report,
    RoleModel,
)
from teams_dagster.report.page import MOST_CHAINS, MOST_ROWS, render_report
from teams_dagster.report.policies import EXPLAINED
from tests.report.example_report import ACCEPTED, CHAIN, EXAMPLE, HOSTILE, example_page, hostile_example_page

SECTIONS = ["about", "policy", "dataset", "samples", "models", "privacy", "paper", "costs"]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """The elements and texts of a page; open elements are counted, so a broken nesting shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def shape(self) -> list[tuple[str, frozenset[str]]]:
        """Tags with the names of their attributes."""
        return [(tag, frozenset(attributes)) for tag, attributes in self.elements]


@pytest.fixture(scope="module")
def example() -> str:
    return example_page()


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return hostile_example_page()


@pytest.fixture
def few_pictures() -> Report:
    """All that the page tells, with the pictures of the account alone: the others take five seconds to draw."""
    return replace(EXAMPLE, policy=PolicyResults(), dataset=DatasetResults(chains=(CHAIN,)), models=ModelResults())


@pytest.mark.slow
def test_the_page_has_every_section_in_order_and_closes_what_it_opens(example: str) -> None:
    page = Page(example)
    assert [attributes["id"] for attributes in page.of("section")] == SECTIONS
    assert page.open == []


@pytest.mark.slow
def test_every_picture_is_in_the_page_with_words_for_it(example: str) -> None:
    images = Page(example).of("img")
    assert len(images) == 16
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in images)
    assert all(len(image["alt"] or "") > 20 for image in images)


def test_the_headline_tells_samples_queries_attempts_cost_and_the_policys_gain(example: str) -> None:
    text = Page(example).text
    for figure in (
        "701 samples kept",
        "36,911 queries asked",
        "2,363 paid attempts",
        "at least $0.8124 cost",
        "0.343 distinct accepted per query, trained 95%: 0.323 to 0.363",
        "0.272 distinct accepted per query, uniform 95%: 0.252 to 0.292",
    ):
        assert figure in text


def test_limits_cautions_versions_models_and_the_baseline_are_told(example: str) -> None:
    text = Page(example).text
    for words in (
        "proof that the line works",
        "trained with another kind of model than it generates with",
        "7b52009b64fd0a2a",
        "5d41402abc4b2a76",
        "gpt-5.2-mini-2026-01-01",
        "2026-01-05, 2026-01-12",
        "TeaMs-RL, as its paper counts 17,878 35,756 2.00 35,756 5.73%",
        "returned 188, malformed reply 61",
        "By role and operation",
        "instructor add_constraints 2,851",
    ):
        assert words in text


def test_how_the_policy_was_trained_is_told(example: str) -> None:
    text = Page(example).text
    for words in (
        "Trained by D2LOLS: 40 iterations, 28,380 queries, 4,460 of them to the guide",
        "could not be read 5 times",
        "the answers cost $0.0124",
        "guide offline/rules",
        "0.1100 in the first batch of the training, 0.0908 in its last batch, 0.1040 under uniform on held-out seeds",
    ):
        assert words in text
    assert "(flat)" not in text


def test_a_flat_reward_is_marked_where_it_is_flat() -> None:
    policy = replace(EXAMPLE.policy, uniform_variance=0.004)
    assert "0.0040 under uniform on held-out seeds (flat)" in Page(render_report(Report(policy=policy))).text


def test_policies_are_compared_with_words_for_each(example: str) -> None:
    text = Page(example).text
    for words in (
        "policy distinct accepted per query accepted per episode allowance used accepted per query return"
        " nearest similarity vendi score length growth trained 0.343 0.323 to 0.363 4.191",
        "trained minus distinct accepted per query accepted per episode accepted per query return trained without none",
        "It learnt to read:",
        "In accepted per query the trained policy goes 47.0% of the way from uniform to the free look-ahead",
        "counted in queries: after 41,250 accepted edits (95%: 32,250 to never)",
        "counted in dollars: never.",
        "operation trained uniform breadth 11.7%",
        *(
            f"{name.replace('_', ' ')} {meaning}"
            for name, meaning in EXPLAINED.items()
            if compared_algorithm(name) is None
        ),
    ):
        assert words in text


def test_the_table_of_all_scores_is_collapsed(example: str) -> None:
    assert {"open": None} in Page(example).of("details")
    assert {} in Page(example).of("details")
    assert "All scores" in Page(example).text


def test_one_training_cannot_show_how_much_trainings_vary(example: str) -> None:
    alone = tuple(replace(score, training_seeds=1) for score in EXAMPLE.policy.scores)
    page = render_report(Report(policy=PolicyResults(scores=alone)))
    assert "Only one training of the policy was compared" in Page(page).text
    assert "Only one training of the policy was compared" not in Page(example).text


@pytest.mark.parametrize(
    "kept",
    [
        lambda score: score.metric == "accepted_per_query",
        lambda score: score.policy == "uniform",
        lambda score: score.policy == "trained" and "_minus_" in score.metric,
        lambda score: "minus_uniform" in score.metric,
        lambda score: score.metric.startswith("samples_to_pay"),
        lambda score: score.metric.startswith("share_of_"),
    ],
)
def test_a_comparison_of_a_few_policies_in_a_few_metrics_is_shown(kept) -> None:
    scores = tuple(score for score in EXAMPLE.policy.scores if kept(score))
    page = Page(render_report(Report(policy=PolicyResults(scores=scores))))
    assert page.open == []
    assert len(page.of("table")) >= 1 + 1, "all scores, and the costs' comparison"


def test_a_sample_is_shown_from_seed_to_answer(example: str) -> None:
    text = Page(example).text
    steps = [
        CHAIN.seed.text,
        "add constraints",
        "breadth",
        "not accepted (malformed reply)",
        "complicate input",
        "answer",
    ]
    places = [text.index(step, text.index("A few samples")) for step in steps]
    assert places == sorted(places)


def test_a_sample_leads_to_its_chain_in_the_explorer(example: str) -> None:
    links = [attributes["href"] for attributes in Page(example).of("a")]
    assert "explorer.html" in links
    assert f"explorer.html#sample={CHAIN.sample_id}" in links


def test_each_generation_tells_what_a_kept_sample_took_and_how_distinct_its_samples_are(example: str) -> None:
    text = Page(example).text
    for words in (
        "2026-01-12 2,055 $0.4124 361 5.69 $0.001142 46 0.304 0.608 0.529 39.200",
        "2026-01-05 2,180 $0.4 at least 340 6.41 $0.001176 at least 41 0.310 0.620 0.540 40.000",
    ):
        assert words in text


def test_one_generation_is_a_row_without_a_picture() -> None:
    alone = DatasetResults(
        generations=EXAMPLE.dataset.generations[:1],
        diversity_by_generation=EXAMPLE.dataset.diversity_by_generation,
    )
    page = Page(render_report(Report(dataset=alone)))
    assert "2026-01-05 2,180" in page.text
    assert page.of("img") == []


def test_a_generation_that_kept_nothing_has_no_cost_per_sample() -> None:
    nothing = GenerationResults("2026-01-19", 12, 5_000_000, 0, 0, *[math.nan] * 3)
    page = Page(render_report(Report(dataset=DatasetResults(generations=(nothing,)))))
    assert "2026-01-19 12 $0.005 0 – – – – – – –" in page.text


@pytest.mark.slow
@pytest.mark.parametrize("report", ["example", "hostile_page"])
def test_nothing_is_loaded_from_anywhere_and_no_script_can_run(report: str, request: pytest.FixtureRequest) -> None:
    page = Page(request.getfixturevalue(report))
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "link", "base", "form", "svg"})
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
        assert re.match(
            r"#[a-z]|explorer\.html(#sample=[\w.%~-]+( \[\.\.\. [\d,]+ more characters\])?)?$",
            attributes.get("href") or "#about",
        )
    (policy,) = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.slow
def test_hostile_text_adds_no_element_and_no_attribute(example: str, hostile_page: str) -> None:
    ours = set(Page(example).shape())
    page = Page(hostile_page)
    assert set(page.shape()) <= ours
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_hostile_characters_are_named_and_the_page_is_utf8(hostile_page: str) -> None:
    hostile_page.encode("utf-8")
    assert not any(character in hostile_page for character in "\u202e\u2066\x1b\x00\ufeff")
    assert "[U+202E]txt.exe[U+2066] [U+001B][31m [U+0000] [U+D800]" in Page(hostile_page).text


def test_every_stage_of_a_model_stands_with_what_it_took(example: str) -> None:
    text = Page(example).text
    assert "fine-tuning 2.6100 0.600 0.700 – 4,100 4.1000" in text
    assert "fine-tuning + grpo 2.5800 0.600 0.700 – 5,200 5.2000" in text


def test_without_a_token_level_training_there_is_no_word_of_it() -> None:
    assert "token by token" not in Page(render_report(Report())).text


def test_an_empty_project_has_a_report_that_says_what_to_do() -> None:
    page = Page(render_report(Report()))
    assert [attributes["id"] for attributes in page.of("section")] == SECTIONS
    assert page.of("img") == []
    for asset in (
        "trained_policy",
        "policy_comparison",
        "instruction_dataset",
        "evaluation_scores",
        "judged_win_rate",
        "paper_table",
    ):
        assert f"materialise {asset}" in page.text


def test_the_page_is_bounded_however_much_there_is_to_show(few_pictures: Report) -> None:
    huge = replace(CHAIN, response="x " * 1_000_000)
    scores = EXAMPLE.policy.scores * 500
    report = replace(
        few_pictures,
        policy=PolicyResults(scores=tuple(s for s in scores if s.metric == "accepted_per_episode")),
        dataset=replace(few_pictures.dataset, chains=(huge,) * 1_000),
        account=replace(EXAMPLE.account, by_model=EXAMPLE.account.by_model * 1_000),
    )
    html = render_report(report)
    page = Page(html)
    assert len(html) < 1_500_000
    assert len(page.of("article")) == MOST_CHAINS
    assert len(page.of("tr")) < 10 * MOST_ROWS
    assert f"{500 * len(ACCEPTED) - MOST_ROWS:,} more" in page.text


def test_a_realistic_page_is_small(example: str) -> None:
    assert len(example) < 750_000


def test_the_page_is_always_the_same(few_pictures: Report) -> None:
    assert render_report(few_pictures) == render_report(few_pictures)


def test_the_hostile_text_is_hostile() -> None:
    assert Page(HOSTILE.split("{{")[0]).of("script")


def test_the_papers_table_shows_its_numbers_with_their_source_and_a_difference_with_its_interval() -> None:
    section = (
        render_report(Report(about=EXAMPLE.about, paper=EXAMPLE.paper))
        .split('<section id="paper">')[1]
        .split("</section>")[0]
    )
    assert "17,878" in section
    assert "abstract (arXiv 2403.08694)" in section
    assert "-0.0200 to 0.0800" in section
    assert "no reproduction of theirs" in section


def test_ratings_of_pairs_are_told_where_pairs_were_scored(example: str) -> None:
    assert "Ratings of pairs" not in example
    ratings = PairRatings(
        pairs=152,
        without_score=3,
        ratings={"good": 100, "partly": 52},
        least=0.6,
        dropped={"partly": 20},
        by_operation=(RatedOperation("breadth", 152, 0.82, 20),),
        compared=76,
        later_better=38,
        queries=152,
        cost_nano_usd=4_000_000,
    )
    text = Page(render_report(Report(dataset=DatasetResults(ratings=ratings)))).text
    for words in (
        "152 pairs were scored, the judge was asked about 152 of them for $0.004; of 3 nobody could tell.",
        "Pairs below 0.60 are not in the dataset: partly 20.",
        "a later answer was better than the first 38 times (50.0%)",
        "good 100 65.8%",
        "breadth 152 0.82 20",
    ):
        assert words in text


def test_a_model_that_was_not_named_for_its_role_is_said_to_be_named_by_the_shared_setting() -> None:
    models = (RoleModel("expert", "openai", "m", named_by="TEAMS_MODEL"), RoleModel("judge", "openai", "j"))
    text = Page(render_report(Report(about=replace(EXAMPLE.about, models=models)))).text
    assert "expert openai m a language model, named by TEAMS_MODEL judge openai j a language model" in text
