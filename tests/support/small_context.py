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


def prompt_tokens(body: Body) -> int:
    """What this server's tokenizer makes of a prompt: a token for each three and a half bytes, and some for turns."""
    return round(sum(len(message["content"].encode()) / 3.5 + 5 for message in body["messages"]))


def with_context(
    context: int, refusal: str, respond: Callable[[Body], Reply | str] = echo, *, counts_reply: bool = True
) -> Callable[[Body], Reply | Fault | str]:
    """`respond`, for what fits into `context`; `counts_reply` says whether the limit of a reply counts towards it."""

    def answer(body: Body) -> Reply | Fault | str:
        prompt, reply = prompt_tokens(body), body["max_tokens"]
        if prompt + (reply if counts_reply else 0) <= context:
            return respond(body)
        values = {"context": context, "prompt": prompt, "reply": reply, "total": prompt + reply}
        said = refusal.format(**values, beyond=prompt - context)
        return Fault(400, json.dumps({"error": {"message": said, "type": "invalid_request_error", "code": 400}}))

    return answer
