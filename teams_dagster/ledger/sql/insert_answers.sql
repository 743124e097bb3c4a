insert into answers by name
select
    request_key,
    request_id,
    text,
    finish_reason,
    outcome,
    {
        'prompt_tokens': prompt_tokens,
        'cached_tokens': cached_tokens,
        'completion_tokens': completion_tokens
    } as usage,
    created_at
from batch;
