-- The questions behind each transition, and behind the answers of a sample that it made and their ratings. `reused`: this
-- transition did not pay for the answer, in any run; who did may have asked in another role.
with steps as (
    select
        transition_id,
        rewrite_request_id,
        review_request_id,
        turned_review_request_id,
        guide_request_id,
        unread_request_id
    from transitions
    where episode_id in (select episode_id from chosen)
),
asked as (
    select transition_id, 1 as place, 'unread guide' as kind, unread_request_id as request_id from steps
    union all select transition_id, 2, 'guide', guide_request_id from steps
    union all select transition_id, 3, 'rewrite', rewrite_request_id from steps
    union all select transition_id, 4, 'review', review_request_id from steps
    union all select transition_id, 5, 'review, texts turned', turned_review_request_id from steps
    union all
    select own.transition_id, 6, 'respond', own.respond_request_id
    from chosen_samples as own join chosen using (sample_id)
    union all
    select own.transition_id, 7 + given.answer, 'respond, not chosen', given.respond_request_id
    from sample_answers as given
    join chosen_samples as own on own.sample_id = given.sample_id
    join chosen on chosen.sample_id = given.sample_id
    where given.respond_request_id is distinct from own.respond_request_id
    union all
    select chosen.transition_id, 1000 + scored.answer, 'rate', scored.judge_request_id
    from pair_scores as scored join chosen using (sample_id)
),
used as (
    select transition_id, request_id, bool_and(reused) as reused, min(role) as role
    from llm_requests
    where transition_id in (select transition_id from steps)
    group by transition_id, request_id
)
select
    asked.transition_id,
    asked.kind,
    asked.request_id,
    coalesce(used.role, call.role) as role,
    call.provider,
    call.model,
    call.prompt_tokens,
    call.cached_tokens,
    call.completion_tokens,
    call.cost_nano_usd,
    call.price_version,
    call.prompt_version,
    call.latency_ms,
    used.reused
from asked
left join llm_calls as call on call.request_id = asked.request_id
left join used on used.transition_id = asked.transition_id and used.request_id = asked.request_id
where asked.request_id is not null
order by asked.transition_id, asked.place;
