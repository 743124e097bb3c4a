"""A server's answers within a context of so many tokens: what does not fit is refused, as servers word it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.openai_server import Fault, Reply, echo

Body = dict[str, Any]

OPENAI = (
    "This model's maximum context length is {context} tokens. However, you requested {total} tokens ({prompt} in the"
    " messages, {reply} in the completion). Please reduce the length of the messages or completion."
)
VLLM = (
    "'max_tokens' or 'max_completion_tokens' is too large: {reply}. This model's maximum context length is {context}"
    " tokens and your request has {prompt} input tokens ({reply} > {context} - {prompt}). None"
)
SGLANG = (
    "Requested token count exceeds the model's maximum context length of {context} tokens. You requested a total of"
    " {total} tokens: {prompt} tokens from the input messages and {reply} tokens for the completion."
)
TGI = (
    "`inputs` tokens + `max_new_tokens` must be <= {context}. Given: {prompt} `inputs` tokens and {reply}"
    " `max_new_tokens`"
)
VLLM_MAX_MODEL_LEN = (
    "max_tokens={reply} cannot be greater than max_model_len=max_total_tokens={context}. Please request fewer output"
    " tokens. (parameter=max_tokens, value={reply})"
)
TOGETHER = "The request has {prompt} input tokens and {reply} max_new_tokens; the sum must be <= {context}"
FIREWORKS = "The prompt is too long: {prompt}, model maximum context length: {context}"
GOOGLE = "The input token count ({prompt}) exceeds the maximum number of tokens allowed ({context})."
COHERE = "too many tokens: total number of tokens in the prompt cannot exceed {context} - received {prompt}"
GATEWAY = (
    "The context of this model is {context} tokens, and {total} were asked for ({prompt} of messages, {reply} of"
    " completion)."
)
LLAMA_CPP = "request ({prompt} tokens) exceeds the available context size ({context} tokens), try increasing it"
OLLAMA = "prompt too long; exceeded max context length by {beyond} tokens"
LM_STUDIO = (
    "Trying to keep the first {prompt} tokens when context the overflows. However, the model is loaded with context"
    " length of only {context} tokens"
)

ANTHROPIC = (
    "input length and `max_tokens` exceed context limit: {prompt} + {reply} > {context}, decrease input length or"
    " `max_tokens` and try again"
)
VLLM_AT_LEAST = (
    "This model's maximum context length is {context} tokens. However, you requested {reply} output tokens and your"
    " prompt contains at least {least} input tokens, for a total of at least {over} tokens. Please reduce the length of"
    " the input prompt or the number of requested output tokens. (parameter=input_tokens, value={least})"
)

REPLY_TOO_LONG = {
    "Anthropic": ANTHROPIC,
    "Anthropic, behind a gateway": 'litellm.BadRequestError: AnthropicException - b\'{{"message": "input length and'
    " `max_tokens` exceed context limit: {prompt} + {reply} > {context}\"}}'",
    "a sum": "{prompt} + {reply} > {context}",
    "OpenAI": OPENAI,
    "OpenAI, older": "This model's maximum context length is {context} tokens, however you requested {total} tokens"
    " ({prompt} in your prompt; {reply} for the completion). Please reduce your prompt; or completion length.",
    "OpenRouter": "This endpoint's maximum context length is {context} tokens. However, you requested about {total}"
    " tokens ({prompt} of text input, {reply} in the output). Please reduce the length of either one.",
    "vLLM": VLLM,
    "vLLM, a lower bound": VLLM_AT_LEAST,
    "vLLM, by the prompt's room": "You passed {prompt} input tokens and requested {reply} output tokens. However, the"
    " model's context length is only {context} tokens, resulting in a maximum input length of 1 tokens.",
    "vLLM, max_model_len": VLLM_MAX_MODEL_LEN,
    "SGLang": SGLANG,
    "Text Generation Inference": TGI,
    "Together": TOGETHER,
    "Cohere": "too many tokens: total number of tokens (prompt and prediction) cannot exceed {context} - received"
    " {total}. Try using a shorter prompt or a smaller max_tokens value.",
    "Databricks": "prompt token count ({prompt}) + max_tokens ({reply}) cannot exceed {context}. Please use a lower"
    " max_tokens value.",
    "Moonshot": "Invalid request: Your request exceeded model token limit: {context} (requested: {total})",
    "TensorRT-LLM": "The sum of prompt length ({prompt}) and max_tokens ({reply}) should not exceed max_seq_len"
    " ({context})",
    "a gateway": GATEWAY,
    "thousands": "This model's maximum context length is 2k tokens, and {total} were asked for.",
}
"""Refusals of a reply that has no room beside its prompt."""

PROMPT_TOO_LONG = {
    "Anthropic": "prompt is too long: {prompt} tokens > {context} maximum",
    "OpenAI": "This model's maximum context length is {context} tokens. However, your messages resulted in {prompt}"
    " tokens. Please reduce the length of the messages.",
    "vLLM": "The decoder prompt (length {prompt}) is longer than the maximum model length of {context}. Make sure that"
    " `max_model_len` is no smaller than the number of text tokens.",
    "llama.cpp": LLAMA_CPP,
    "Ollama": OLLAMA,
    "LM Studio": LM_STUDIO,
    "Text Generation Inference": "Input validation error: `inputs` must have less than {context} tokens. Given:"
    " {prompt}",
    "Mistral": "Prompt contains {prompt} tokens and 0 draft tokens, too large for model with {context} maximum context"
    " length",
    "Google": GOOGLE,
    "Google, without its count": "The input token count exceeds the maximum number of tokens allowed ({context}).",
    "Amazon": "Too many input tokens. Max input tokens: {context}, request input token count: {prompt}",
    "Cohere": COHERE,
    "Cohere, newer": "too many tokens: size limit exceeded by {beyond} tokens. Try using shorter or fewer inputs. The"
    " limit for this model is {context} tokens.",
    "Cerebras": "Please reduce the length of the messages or completion. Current length is {prompt} while limit is"
    " {context}",
    "Fireworks": FIREWORKS,
    "Together": "The input ({prompt} tokens) is longer than the model's context length ({context} tokens).",
    "xAI": "This model's maximum prompt length is {context} but the request contains {prompt} tokens.",
    "GitHub": "Request body too large for small model. Max size: {context} tokens.",
    "GitHub Copilot": "prompt token count of {prompt} exceeds the limit of {context}",
    "Alibaba": "InvalidParameter: Range of input length should be [1, {context}]",
    "Poolside": "Input length {prompt} exceeds the maximum allowed input length of {context} tokens.",
    "IBM": "Invalid input argument for the model: the number of input tokens {prompt} cannot exceed the total tokens"
    " limit {context} for this model",
    "NVIDIA": "Prompt length ({prompt}) exceeds maximum input length ({context}).",
    "TabbyAPI": "Prompt length {prompt} is greater than max_seq_len {context}",
    "a size": "Prompt has {prompt} tokens, but the configured context size is {context} tokens",
    "a tokenizer": "Token indices sequence length is longer than the specified maximum sequence length for this model"
    " ({prompt} > {context}).",
}
"""Refusals of a prompt that alone is too long."""

NO_CONTEXT = (
    "max_tokens is too large: 4096. This model supports at most 2000 completion tokens, whereas you provided 4096.",
    "max_tokens: 2048 > 1024, which is the maximum allowed number of output tokens for the model",
    "The maximum tokens you requested exceeds the model limit of 1000. Try again with a lower value.",
    "`max_tokens` must be less than or equal to `1024`, the maximum value for `max_tokens` is less than the"
    " `context_window` for this model",
    "`max_new_tokens` must be <= 512. Given: 2048",
    "Range of max_tokens should be [1, 1024]",
    "Request too large for model `m` on tokens per minute (TPM): Limit 1500, Requested 2100, please reduce your message"
    " size and try again.",
    "messages[1].content exceeds the limit of 1000 characters",
    "The number of messages exceeds the limit of 20 messages.",
    "Input is too long for requested model.",
    "Please reduce the length of the messages or completion.",
    "invalid params, context window exceeds limit",
    "the input length exceeds the context length",
    "Prompt exceeds max length",
)
"""Refusals that name no context, though most of them name a number, and each is of a length."""


def prompt_tokens(body: Body) -> int:
    """What this server's tokenizer makes of a prompt: a token for each three and a half bytes, and some for turns."""
    return round(sum(len(message["content"].encode()) / 3.5 + 5 for message in body["messages"]))


def worded(refusal: str, context: int, prompt: int, reply: int) -> str:
    """What a refusal of so many tokens says; vLLM stops counting where a prompt is known to be too long."""
    least = context - reply + 1
    values = {"context": context, "prompt": prompt, "reply": reply, "total": prompt + reply}
    return refusal.format(**values, beyond=prompt - context, least=least, over=least + reply)


def with_context(
    context: int, refusal: str, respond: Callable[[Body], Reply | str] = echo, *, counts_reply: bool = True
) -> Callable[[Body], Reply | Fault | str]:
    """`respond`, for what fits into `context`; `counts_reply` says whether the limit of a reply counts towards it."""

    def answer(body: Body) -> Reply | Fault | str:
        prompt, reply = prompt_tokens(body), body["max_tokens"]
        if prompt + (reply if counts_reply else 0) <= context:
            return respond(body)
        said = worded(refusal, context, prompt, reply)
        return Fault(400, json.dumps({"error": {"message": said, "type": "invalid_request_error", "code": 400}}))

    return answer
