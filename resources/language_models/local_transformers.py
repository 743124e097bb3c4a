"""A local model through `transformers`: on the GPU when there is one, in a thread of its own.

Queries that wait together are answered together. Each samples with noise of its own, drawn for its messages and
replica, so company changes an answer no more than rounding does; the ledger keeps the answer that was given.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.language_models.batched_thread import BatchedThread
from resources.language_models.local_scoring import reply_logprobs, shares, taken
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    Message,
    ModelIdentity,
    Outcome,
    Request,
    Usage,
    fold_system,
)
from teams_dagster.core.replies import Choice, Way
from teams_dagster.llm.settling import completion_of
from teams_dagster.model_files import ADAPTER, check_folder
from teams_dagster.model_values import check_values
from teams_dagster.model_weights import load_weights

if TYPE_CHECKING:
    import torch

MAX_BATCH = 16
"""Queries answered together at most."""

_SAMPLED_BYTES = 1 << 20


class LocalTransformersModel:
    """A causal language model from a folder or the hub. Implements `LanguageModel`; loaded at the first query."""

    def __init__(
        self,
        model_path: str,
        *,
        max_tokens: int | None = None,
        max_batch: int = MAX_BATCH,
        structured: Way | None = None,
    ) -> None:
        """`model_path` is a folder in Hugging Face form, or a hub id.

        `max_tokens`, where given, bounds every answer in place of what its request says: part of the identity.
        `structured` is how the model is held to a few replies: by their log-probabilities, or not.
        """
        self._max_tokens = max_tokens
        bound = [] if max_tokens is None else [f"max_tokens={max_tokens}"]
        version = " ".join([weights_digest(Path(model_path)), *bound]).strip()
        self._identity = ModelIdentity("transformers", model_path, rules_version=version, structured=structured)
        self._thread = BatchedThread[Request](
            f"model {model_path}", lambda: _Generator(model_path).answer, most=max_batch
        )

    @property
    def identity(self) -> ModelIdentity:
        """Provider `transformers`, the path, and (as rules version) a digest of a folder's weights and a limit."""
        return self._identity

    async def complete(self, request: Request) -> Completion:
        """Generate an answer. Raises CompletionError when the prompt does not fit or generation fails."""
        if self._max_tokens is not None:
            request = replace(request, sampling=replace(request.sampling, max_tokens=self._max_tokens))
        return await self._thread.ask(request)

    async def close(self) -> None:
        """Finish the batch under way and free the model."""
        self._thread.close()


@dataclass(frozen=True)
class _Prompt:
    """A query as the model takes it."""

    request: Request
    tokens: list[int]
    limit: int
    """Tokens it may generate: what was asked for, or what the window leaves."""

    @property
    def choice(self) -> Choice | None:
        """The few replies that the model is held to; None where it writes freely."""
        allowed = self.request.allowed
        return allowed if self.request.structured is Way.LOGPROBS and isinstance(allowed, Choice) else None


class _Generator:
    """The loaded model."""

    def __init__(self, path: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        on_gpu = torch.cuda.is_available()
        dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
        folder = Path(path)
        if folder.exists() and not (folder / ADAPTER).exists():  # an adapter is read with the model that it names
            check_folder(folder)
        check_values(folder)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        model = load_weights(AutoModelForCausalLM, path, dtype=dtype)
        self._model = model.to("cuda" if on_gpu else "cpu").eval()
        self._ends = _end_tokens(self._model, self._tokenizer)
        self._folds_system = False
        self._window: int | None = getattr(model.config, "max_position_embeddings", None)

    def answer(self, requests: list[Request]) -> list[Completion | CompletionError]:
        """Answers in the order of `requests`; one that cannot be put to the model fails alone."""
        prompts = [self._prompt(request) for request in requests]
        good = [prompt for prompt in prompts if isinstance(prompt, _Prompt) and prompt.choice is None]
        generated = iter(self._generate(good) if good else [])
        return [
            prompt
            if isinstance(prompt, CompletionError)
            else next(generated)
            if prompt.choice is None
            else self._chosen(prompt, prompt.choice)
            for prompt in prompts
        ]

    def _chosen(self, prompt: _Prompt, choice: Choice) -> Completion:
        """The one of a few replies that the weights prefer, with the probability of each."""
        tokens = {
            reply: [*self._tokenizer(reply, add_special_tokens=False)["input_ids"], self._ends[0]]
            for reply in choice.replies
        }
        scores = reply_logprobs(self._model, prompt.tokens, list(tokens.values()), self._ends[0])
        probabilities = shares(dict(zip(tokens, scores, strict=True)))
        reply = taken(probabilities, prompt.request.sampling.temperature, _seed(prompt.request))
        usage = Usage(len(prompt.tokens), 0, len(tokens[reply]))
        return Completion(reply, "stop", Outcome.USABLE, usage, probabilities=probabilities)

    def _prompt(self, request: Request) -> _Prompt | CompletionError:
        if self._tokenizer.chat_template:
            try:
                text = self._templated(request.messages)
            except Exception as error:
                return CompletionError(ErrorKind.REJECTED, f"the chat template refuses the messages: {error}")
            tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            text = "\n\n".join(message.content for message in request.messages) + "\n\n"
            tokens = self._tokenizer(text)["input_ids"]
        limit = request.sampling.max_tokens
        if self._window is not None:
            limit = min(limit, self._window - len(tokens))
        if limit < 1:
            detail = f"the prompt has {len(tokens)} tokens, the model's window {self._window}"
            return CompletionError(ErrorKind.TOO_LONG, detail)
        return _Prompt(request, tokens, limit)

    def _templated(self, messages: tuple[Message, ...]) -> str:
        """The prompt; a template without a system role (Gemma, older Mistrals) has it as part of the user's message."""
        if not self._folds_system:
            try:
                return self._render(messages)
            except Exception:
                if fold_system(messages) == messages:
                    raise
        text = self._render(fold_system(messages))
        self._folds_system = True
        return text

    def _render(self, messages: tuple[Message, ...]) -> str:
        shown = [{"role": message.role, "content": message.content} for message in messages]
        return self._tokenizer.apply_chat_template(shown, tokenize=False, add_generation_prompt=True)

    def _generate(self, prompts: list[_Prompt]) -> list[Completion]:
        """Generate for all prompts in one left-padded batch."""
        import torch
        from transformers import GenerationConfig

        width = max(len(prompt.tokens) for prompt in prompts)
        padding = self._ends[0]
        rows = [[padding] * (width - len(prompt.tokens)) + prompt.tokens for prompt in prompts]
        mask = [[0] * (width - len(prompt.tokens)) + [1] * len(prompt.tokens) for prompt in prompts]
        device = self._model.device
        with torch.inference_mode():
            output = self._model.generate(
                torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                logits_processor=[_Sampler([prompt.request for prompt in prompts], device)],
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=max(prompt.limit for prompt in prompts),
                    eos_token_id=self._ends,
                    pad_token_id=padding,
                ),
            )
        generated = output[:, width:].tolist()
        return [self._completion(prompt, tokens) for prompt, tokens in zip(prompts, generated, strict=True)]

    def _completion(self, prompt: _Prompt, generated: list[int]) -> Completion:
        tokens = generated[: prompt.limit]
        end = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        finish_reason = "length" if end is None else "stop"
        text = self._tokenizer.decode(tokens[:end], skip_special_tokens=True).strip()
        usage = Usage(len(prompt.tokens), 0, len(tokens) if end is None else end + 1)
        return completion_of(text, finish_reason, usage=usage)


class _Sampler:
    """Temperature and nucleus sampling with noise of each row's own: the largest of (logit + Gumbel noise) is a draw
    from the softmax, whoever else is in the batch. Called by `generate` before it takes the largest score.
    """

    def __init__(self, requests: list[Request], device: torch.device) -> None:
        import torch

        self._temperatures = [request.sampling.temperature for request in requests]
        self._top_p = torch.tensor([[request.sampling.top_p] for request in requests], device=device)
        self._noise = [torch.Generator(device).manual_seed(_seed(request)) for request in requests]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (batch, vocabulary) whose largest entry is the token drawn."""
        import torch

        scores = scores.float()
        warm = torch.tensor([[t if t > 0 else 1.0] for t in self._temperatures], device=scores.device)
        logits = self._nucleus(scores / warm)
        drawn = torch.empty_like(logits)
        for row, noise in enumerate(self._noise):
            if self._temperatures[row] > 0:
                drawn[row] = logits[row] - torch.empty_like(logits[row]).exponential_(generator=noise).log()
            else:
                drawn[row] = scores[row]
        return drawn

    def _nucleus(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` without what lies beyond each row's top-p mass; the most likely token always stays."""
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        beyond = probabilities.cumsum(dim=-1) - probabilities >= self._top_p
        return logits.masked_fill(beyond.scatter(-1, order, beyond), float("-inf"))


def weights_digest(folder: Path) -> str:
    """A digest that changes when a folder's model does: every file's name and size, its first and last mebibyte.

    Empty for what is no folder (a hub id names a revision of its own).
    """
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.name} {size} ".encode())
        with file.open("rb") as content:
            digest.update(content.read(_SAMPLED_BYTES))
            content.seek(max(0, size - _SAMPLED_BYTES))
            digest.update(content.read(_SAMPLED_BYTES))
    return digest.hexdigest()[:32]


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer, of the model's generation settings and of its tokenizer."""
    configured = model.generation_config.eos_token_id
    ends = [configured] if isinstance(configured, int) else list(configured or [])
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    if not ends:
        raise ValueError("neither the model nor its tokenizer names an end-of-text token")
    return ends


def _seed(request: Request) -> int:
    messages = [[message.role, message.content] for message in request.messages]
    return int(content_hash("local sampling", messages, request.replica)[:15], 16)
