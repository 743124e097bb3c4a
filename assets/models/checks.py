"""Checks of the models: that they load and answer, asked as they were trained."""

import dagster as dg

from assets.check_results import needs_output, not_applicable, verdict
from assets.materialize import DATASET_FIRST
from resources.language_models.roles import LanguageModels
from teams_dagster.dataset.stored import read_examples
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.models import AdapterFacts
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import ADAPTERS, student_path


def adapter_check(name: str) -> dg.AssetChecksDefinition:
    """The check of the asset `<name>_model` that its adapter answers."""

    @dg.asset_check(
        asset=f"{name}_model",
        name=f"{name}_adapter_answers",
        description="The adapter loads on the base and answers.",
        metadata={"severity": "error", "remedy": "Train the adapter again."},
    )
    @needs_output
    def adapter_answers(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
        from teams_dagster.student.answering import respond
        from teams_dagster.student.loading import load_adapter

        base, adapter = store.current("base_model"), store.current(f"{name}_model")
        try:
            student = load_adapter(student_path(base), adapter.path(MODEL))
        except (OSError, ValueError) as error:
            return verdict(False, f"the adapter cannot be loaded: {error}")
        example = read_examples(store.current("instruction_dataset"), "held_out")[0]
        answer = respond(student, example.instruction, max_new_tokens=48)
        return verdict(
            bool(answer.strip()),
            "it answers a held-out instruction" if answer.strip() else "it answers with nothing",
            instruction=example.instruction.text,
            answer=answer or "(nothing)",
        )

    return adapter_answers


def _parity_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=f"{name}_model",
        name=f"{name}_is_asked_as_trained",
        description="Chat template, special tokens and end token are those of training, token by token.",
        metadata={
            "severity": "error",
            "remedy": "Restore the base's folder, or train the adapter again on the base there is.",
        },
    )
    @needs_output
    def asked_as_trained(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
        from teams_dagster.student.loading import Recipe
        from teams_dagster.student.parity import parity_faults

        adapter, base = store.current(f"{name}_model"), store.current("base_model")
        trained_on = store.of_version("base_model", adapter.manifest["inputs"]["base_model"])
        examples = read_examples(store.current("instruction_dataset"), "held_out")
        try:
            recipe = Recipe.load(adapter.path(MODEL))
            example = next((e for e in examples if recipe.reasoning and e.reasoning), examples[0])
            faults = parity_faults(student_path(trained_on), student_path(base), recipe, example)
        except (OSError, ValueError) as error:
            return verdict(False, f"what the adapter was trained with cannot be read: {error}")
        if faults:
            advice = f"Restore the base in {trained_on.folder}, or train {name}_model again on the one there is"
            return verdict(False, f"{faults[0]}. {advice}", faults=faults)
        return verdict(True, f"sample {example.sample_id} is the same tokens in training, evaluation and generation")

    return asked_as_trained


lora_adapter_answers, qlora_adapter_answers = (adapter_check(name) for name in ADAPTERS)
lora_is_asked_as_trained, qlora_is_asked_as_trained = (_parity_check(name) for name in ADAPTERS)


@dg.asset_check(
    asset="qlora_model",
    description="The QLoRA adapter's base really was in 4 bits.",
    metadata={"severity": "error", "remedy": "See that bitsandbytes works on this machine."},
)
@needs_output
def qlora_base_is_in_four_bits(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A silent fall back to full precision would make the comparison with LoRA meaningless."""
    proof = store.current("qlora_model").read_facts(AdapterFacts).four_bit
    if proof is None:
        return verdict(False, "the training recorded no proof that its base was in 4 bits")
    bits = 8 * proof.packed_bytes / proof.weights
    return verdict(
        bits <= 4 and proof.logit_gap > 0,
        f"{bits:.2f} bits a weight in {proof.layers} layers; logits differ from the float base's by up to"
        f" {proof.logit_gap:.3f}",
    )


@dg.asset_check(
    asset="seed_instructions",
    blocking=True,
    op_tags=DATASET_FIRST,
    description="The student that TEAMS_STUDENT names can be trained: files, tokenizer, chat template, end token.",
    metadata={"severity": "error", "remedy": "Do what the finding says, or set TEAMS_STUDENT to another model."},
)
def student_can_be_trained(models: LanguageModels) -> dg.AssetCheckResult:
    """Beside the seeds, because everything that is paid for comes after them and long before the training."""
    student = models.settings().student
    if student is None:
        return not_applicable("the embedded student is made on the spot")
    from teams_dagster.student.admission import examine_student
    from teams_dagster.student.weights import StudentFault

    try:
        found = examine_student(student)
    except StudentFault as fault:
        return verdict(False, str(fault))
    return verdict(
        True,
        f"it writes a training example with {found.vocabulary} tokens, and ends it with {found.end_token}",
        template=found.template,
        notes=list(found.notes),
    )
