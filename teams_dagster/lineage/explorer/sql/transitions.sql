-- Every transition of the episodes of the samples: their chains, and what was refused beside them.
select
    step.transition_id,
    step.episode_id,
    step.step,
    step.operation,
    step.probability,
    step.chosen_by,
    step.proposed,
    step.policy,
    step.policy_version,
    before.text as text_before,
    before.input as input_before,
    after.text as text_after,
    after.input as input_after,
    step.prompt_version,
    step.review_prompt_version,
    step.pool_version,
    step.verdict,
    step.verdict_probability,
    step.orders_agree,
    step.eliminated_by,
    step.failure,
    step.novelty,
    step.reward,
    step.reward_preset,
    step.accepted,
    step.guidance_queries,
    step.partition_key,
    step.run_id
from transitions as step
join (select episode_id, min(place) as place from chosen group by episode_id) as episode using (episode_id)
left join instructions as before on before.instruction_id = step.parent_id
left join instructions as after on after.instruction_id = step.instruction_id
order by episode.place, step.step, step.transition_id;
