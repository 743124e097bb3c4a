-- What must be true of the account, and how often it is not. A `promise` has 0 violations; a `notice` is counted, so that
-- it is seen: a kill leaves calls unresolved, and prices can be missing.
create view ledger_audit as
with calls as (
    select
        count(*) as rows,
        count(*) filter (status = 'ok' and coalesce(outcome, '') not in ($outcomes)) as ok_without_outcome,
        count(*) filter (status = 'failed' and coalesce(error_kind, '') not in ($error_kinds)) as failed_without_cause,
        count(*) filter (
            status <> 'ok'
            and (outcome is not null or coalesce(prompt_tokens, completion_tokens) is not null or cost_nano_usd > 0)
        ) as unbilled_with_amounts,
        count(*) filter (status = 'unresolved') as unresolved,
        count(*) filter (status = 'ok' and cost_nano_usd is null) as unpriced,
        count(*) filter (
            status = 'ok'
            and (prompt_tokens + completion_tokens > reserved_tokens or cost_nano_usd > reserved_nano_usd)
        ) as above_reservation
    from llm_calls
),
ids as (
    select count(distinct request_id) as calls from llm_calls
),
questions as (
    select
        coalesce(sum(billed - 1) filter (billed > 1), 0) as paid_twice,
        count(*) filter (billed > 0 and answers = 0) as unanswered,
        count(*) filter (billed > 0 and asked = 0) as unasked
    from (
        select
            count(*) filter (source = 'call') as billed,
            count(*) filter (source = 'answer') as answers,
            count(*) filter (source = 'request') as asked
        from (
            select request_key, 'call' as source from llm_calls where status = 'ok'
            union all
            select request_key, 'answer' as source from answers
            union all
            select request_key, 'request' as source from llm_requests
        )
        group by request_key
    )
),
answered as (
    select
        count(*) filter (calls.request_id is null) as without_call,
        count(*) filter (calls.outcome is distinct from answers.outcome) as other_outcome,
        count(*) filter (
            calls.prompt_tokens is distinct from answers.usage.prompt_tokens
            or calls.cached_tokens is distinct from answers.usage.cached_tokens
            or calls.completion_tokens is distinct from answers.usage.completion_tokens
            or calls.reasoning_tokens is distinct from answers.usage.reasoning_tokens
            or calls.cache_write_tokens is distinct from answers.usage.cache_write_tokens
        ) as other_tokens
    from answers
    left join llm_calls as calls
        on calls.request_id = answers.request_id and calls.request_key = answers.request_key and calls.status = 'ok'
),
asked as (
    select
        count(*) - count(distinct use_id) as repeated,
        count(*) filter ((outcome = 'failed') = (request_id is not null)) as answered_and_failed,
        count(*) filter (
            outcome not in ($outcomes)
            and (outcome <> 'failed' or coalesce(error_kind, '') not in ($error_kinds))
        ) as unexplained
    from llm_requests
),
answered_requests as (
    select
        count(*) filter (calls.request_id is null) as without_call,
        count(*) filter (calls.outcome is distinct from requests.outcome) as other_outcome
    from llm_requests as requests
    left join llm_calls as calls
        on calls.request_id = requests.request_id and calls.request_key = requests.request_key and calls.status = 'ok'
    where requests.request_id is not null
)
select audit.*
from calls, ids, questions, answered, asked, answered_requests,
lateral (
    values
    ('every call is one row', 'promise', calls.rows - ids.calls),
    ('no query is paid for twice', 'promise', questions.paid_twice),
    ('a billed call has an outcome', 'promise', calls.ok_without_outcome),
    ('a failed call has a cause', 'promise', calls.failed_without_cause),
    ('a call that was not answered has no tokens and no cost', 'promise', calls.unbilled_with_amounts),
    ('a query that was paid for has an answer', 'promise', questions.unanswered),
    ('a query that was paid for was asked', 'promise', questions.unasked),
    ('an answer is that of a billed call for the same query', 'promise', answered.without_call),
    ('an answer has the outcome of its call', 'promise', answered.other_outcome),
    ('an answer has the tokens of its call', 'promise', answered.other_tokens),
    ('every query is counted once', 'promise', asked.repeated),
    ('a query is answered or failed', 'promise', asked.answered_and_failed),
    ('asked = kept + named causes', 'promise', asked.unexplained),
    ('an answered query names a billed call for it', 'promise', answered_requests.without_call),
    ('a query has the outcome of the call that answered it', 'promise', answered_requests.other_outcome),
    ('a call costs at most what was reserved for it', 'notice', calls.above_reservation),
    ('a call has a result', 'notice', calls.unresolved),
    ('a billed call has a known price', 'notice', calls.unpriced)
) as audit(name, kind, violations);
