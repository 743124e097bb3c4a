insert into answers by name
select
    * exclude (prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, cache_write_tokens),
    {
        'prompt_tokens': prompt_tokens,
        'cached_tokens': cached_tokens,
        'completion_tokens': completion_tokens,
        'reasoning_tokens': reasoning_tokens,
        'cache_write_tokens': cache_write_tokens
    } as usage
from batch;
