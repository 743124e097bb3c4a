-- What was asked and what it cost, by one thing or another. Money is of calls sent: a reused answer was paid for
-- where it was first asked.
create view cost_by_$name as
with entries as (
    select
        $columns,
        false as asked,
        false as reused,
        status,
        prompt_tokens,
        cached_tokens,
        completion_tokens,
        reasoning_tokens,
        cache_write_tokens,
        cost_nano_usd
    from llm_calls
    union all by name
    select $columns, true as asked, reused from llm_requests
)
select
    $columns,
    count(*) filter (asked) as asked,
    count(*) filter (reused) as reused,
    count(status) as calls,
    count(*) filter (status = 'ok') as ok,
    count(*) filter (status = 'failed') as failed,
    count(*) filter (status = 'unresolved') as unresolved,
    sum(prompt_tokens)::bigint as prompt_tokens,
    sum(cached_tokens)::bigint as cached_tokens,
    sum(completion_tokens)::bigint as completion_tokens,
    sum(reasoning_tokens)::bigint as reasoning_tokens,
    sum(cache_write_tokens)::bigint as cache_write_tokens,
    sum(cost_nano_usd)::bigint as cost_nano_usd,
    count(*) filter (status = 'ok' and cost_nano_usd is null) as unpriced
from entries
group by all
order by all;
