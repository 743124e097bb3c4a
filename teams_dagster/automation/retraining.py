"""Retraining of the adapters: by a sensor when there is enough to learn, or by the calendar when there is anything."""

# Dagster's own signatures leave generics open:
# pyright: reportUnknownMemberType=false

import dagster as dg

from resources.language_models.roles import LanguageModels
from teams_dagster.automation.jobs import (
    dataset,
    demo,
    everything,
    fine_tune_and_evaluate,
    regenerate,
    retrain,
    retry_failed,
    train_on_pairs,
)
from teams_dagster.automation.runs import AD_HOC, under_way
from teams_dagster.settings import Settings, SettingsError
from teams_dagster.store.artefact_store import ArtefactMissing, ArtefactStore
from teams_dagster.student.new_samples import NewSamples, new_samples

WAITED_FOR = (
    *(job.name for job in (demo, everything, regenerate, dataset, retry_failed)),
    *(job.name for job in (retrain, fine_tune_and_evaluate, train_on_pairs)),
    AD_HOC,
)
"""Jobs that may still bring samples, or train on those there are."""


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Retrains the adapters when TEAMS_RETRAIN_SAMPLES kept samples are new to them, or any by a policy that"
    " is new to them. Off until switched on: the scores ask the judge. A tick says why it launches nothing.",
)
def retrain_on_new_samples(
    context: dg.SensorEvaluationContext, store: dg.ResourceParam[ArtefactStore], models: LanguageModels
) -> dg.RunRequest | dg.SkipReason:
    """One run for what the generations hold now, whatever becomes of it: a run that failed is a person's to repeat."""
    try:
        settings = models.settings()
        news = _worth_training_on(settings, store)
    except (SettingsError, ArtefactMissing) as error:
        return dg.SkipReason(str(error))
    if isinstance(news, dg.SkipReason):
        return news
    if news.samples < settings.retrain_samples and not news.policies:
        return dg.SkipReason(f"{news}: TEAMS_RETRAIN_SAMPLES={settings.retrain_samples} is not reached")
    if busy := under_way(context.instance, WAITED_FOR):
        return dg.SkipReason(f"{news}; run {busy.run_id[:8]} of {busy.job_name} is waited for")
    return _retraining(news)


@dg.schedule(
    job=retrain,
    cron_schedule="0 5 1 * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="The first of each month at 05:00 UTC: retrains the adapters if any kept sample is new to them. Off"
    " until switched on: the scores ask the judge.",
)
def monthly_retraining(store: dg.ResourceParam[ArtefactStore], models: LanguageModels) -> dg.RunRequest | dg.SkipReason:
    """The same run, by the calendar."""
    try:
        news = _worth_training_on(models.settings(), store)
    except (SettingsError, ArtefactMissing) as error:
        return dg.SkipReason(str(error))
    return news if isinstance(news, dg.SkipReason) else _retraining(news)


def _worth_training_on(settings: Settings, store: ArtefactStore) -> NewSamples | dg.SkipReason:
    """What is new, where there is anything; otherwise why nothing is to be done. Raises ArtefactMissing."""
    if settings.pairs is not None and settings.pairs_mode == "instead":
        return dg.SkipReason("people's pairs take the place of the generations (TEAMS_PAIRS_MODE=instead)")
    news = new_samples(store)
    return news if news.samples else dg.SkipReason(str(news))


def _retraining(news: NewSamples) -> dg.RunRequest:
    return dg.RunRequest(run_key=news.version[:16], tags={"teams/because": str(news)[:250]})
