-- Samples' chains, one row per transition: hop 1 is the edit of the seed, the last hop made the sample.
create $what
with steps as $materialized (
    select
        hops.sample_id,
        hops.hop,
        hops.transition_id as made_by,
        if(hops.transition_id = samples.transition_id, samples.respond_request_id, null) as respond_request_id,
        hops.transition_id = samples.transition_id as answered,
        step.* exclude (sample_id)
    from chosen_samples as samples
    join sample_hops as hops on hops.sample_id = samples.sample_id
    left join transitions as step on step.transition_id = hops.transition_id
    $of_samples
),
texts as $materialized (
    select instruction_id, text, input
    from instructions
    $of_texts
),
calls as $materialized (
    select request_id, cost_nano_usd
    from llm_calls
    $of_calls
),
further_answers as $materialized (
    select
        given.sample_id,
        if(count(*) = count(sent.cost_nano_usd), sum(sent.cost_nano_usd)::bigint, null) as cost_nano_usd
    from sample_answers as given
    join chosen_samples as samples on samples.sample_id = given.sample_id
    left join llm_calls as sent on sent.request_id = given.respond_request_id
    where given.respond_request_id is not null
    and given.respond_request_id is distinct from samples.respond_request_id
    $of_answers
    group by given.sample_id
)
select
    step.sample_id,
    step.hop,
    step.made_by as transition_id,
    step.operation,
    step.probability,
    step.verdict,
    step.verdict_probability,
    step.eliminated_by,
    step.reward,
    step.accepted,
    before.text as text_before,
    before.input as input_before,
    after.text as text_after,
    after.input as input_after,
    step.policy,
    step.policy_version,
    step.prompt_version,
    step.seed_id,
    step.episode_id,
    step.partition_key,
    step.run_id,
    step.rewrite_request_id,
    step.review_request_id,
    step.turned_review_request_id,
    step.respond_request_id,
    -- What the hop's answers cost whoever asked first; NULL when one of them has no known price.
    if(step.rewrite_request_id is null, 0, rewrite.cost_nano_usd)
    + if(step.review_request_id is null, 0, review.cost_nano_usd)
    + if(step.turned_review_request_id is null, 0, turned.cost_nano_usd)
    + if(step.respond_request_id is null, 0, respond.cost_nano_usd)
    + if(further.sample_id is null, 0, further.cost_nano_usd) as cost_nano_usd
from steps as step
left join texts as before on before.instruction_id = step.parent_id
left join texts as after on after.instruction_id = step.instruction_id
left join calls as rewrite on rewrite.request_id = step.rewrite_request_id
left join calls as review on review.request_id = step.review_request_id
left join calls as turned on turned.request_id = step.turned_review_request_id
left join calls as respond on respond.request_id = step.respond_request_id
left join further_answers as further on step.answered and further.sample_id = step.sample_id;
