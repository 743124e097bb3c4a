-- The samples of the page, in the order in which they were made. All are all of the main line: a sample of the uniform
-- arm is on a page that names it.
create temp table chosen as
select
    samples.sample_id,
    samples.episode_id,
    samples.transition_id,
    row_number() over (
        order by samples.partition_key, samples.seed_id, made.episode, samples.step, samples.sample_id
    ) as place
from samples
left join transitions as made on made.transition_id = samples.transition_id
where ($everything and made.policy is distinct from 'uniform') or samples.sample_id in (select unnest($sample_ids));
