"""The report: one self-contained page with the pictures."""

from functools import partial

import dagster as dg

from assets.materialize import OWNERS, AssetConfig, materialization
from resources.ledger import LedgerConnection
from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.ledger.traits import roles_shared
from teams_dagster.lineage.explorer.samples_page import EXPLORER, write_samples_page
from teams_dagster.report.gather import gather, report_inputs
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.accounting import ReportFacts

PAGE = "report.html"


@dg.asset(
    group_name="accounting",
    deps=[
        "policy_comparison",
        "evaluation_scores",
        "judged_win_rate",
        "privacy_audit",
        "paper_table",
        "query_costs",
        "sample_lineage",
        "rlgf_scores",
    ],
    kinds={"html"},
    owners=OWNERS,
    code_version="5",
    description="One self-contained HTML page: the policy, the dataset, the models, their scores, what it all cost.",
)
def report(
    context: dg.AssetExecutionContext,
    config: AssetConfig,
    store: dg.ResourceParam[ArtefactStore],
    ledger: LedgerConnection,
) -> dg.MaterializeResult:
    """Gather what every stage recorded, render the page, and publish the read model with the models and scores."""
    with materialization(context, store, config=config, inputs=partial(report_inputs, store)) as made:
        if made.draft is not None:
            from teams_dagster.report.page import render_report

            with ledger.open() as opened:
                shared = roles_shared(opened.engine)
            page = render_report(gather(store, shared))
            (made.folder / PAGE).write_text(page, encoding="utf-8")
            made.finish(content_hash("report", page), ReportFacts(bytes=len(page.encode())))
    with store.turn("report", waiting=context.log.info):  # of two runs at once the later one's page stays
        page_file = store.current("report").path(PAGE)
        write_atomically(store.root / PAGE, page_file.read_text(encoding="utf-8"))
    sealed = ledger.refresh(context.instance)
    told = ledger.read(context.instance, lambda path: write_samples_page(store, path, sealed.head or None))
    context.log.info(f"{EXPLORER}: {told}")
    result = made.result(ReportFacts)
    beside = {"page": dg.MetadataValue.url(page_file.as_uri()), "explorer": told}
    return result._replace(metadata={**(result.metadata or {}), **beside})
