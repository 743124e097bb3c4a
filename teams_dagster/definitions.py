"""Door: what Dagster loads."""

import warnings

import dagster as dg

import assets
from resources.alerts import Alerts
from resources.console import console
from resources.language_models.roles import LanguageModels
from resources.ledger import LedgerConnection
from resources.ray_cluster import steps_executor
from resources.stores import ArtefactStoreResource
from teams_dagster.automation import JOBS, SCHEDULES, SENSORS
from teams_dagster.settings import Settings, load_settings

# Dagster itself passes a beta parameter when it resolves the jobs of a sensor.
warnings.filterwarnings("ignore", message="Parameter `owners` of initializer", category=dg.BetaWarning)


def definitions(settings: Settings) -> dg.Definitions:
    """The whole code location for these settings."""
    root = str(settings.root)
    store = ArtefactStoreResource(root=root, data_dir=str(settings.data_dir), shared_url=settings.artefacts_url)
    ledger = LedgerConnection(root=root, store=store)
    return dg.Definitions(
        assets=dg.load_assets_from_package_module(assets),  # pyright: ignore[reportUnknownMemberType] (Dagster's own)
        asset_checks=dg.load_asset_checks_from_package_module(assets),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        executor=steps_executor(settings),
        loggers={"console": console},
        resources={
            "store": store,
            "ledger": ledger,
            "alerts": Alerts(root=root),
            "models": LanguageModels(root=root, ledger=ledger),
        },
    )


defs = definitions(load_settings())
