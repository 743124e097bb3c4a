select
    samples.sample_id,
    samples.transition_id,
    samples.seed_id,
    samples.partition_key,
    samples.instruction,
    samples.input,
    samples.response,
    samples.accepted,
    samples.reason,
    samples.run_id
from chosen_samples as samples
join chosen using (sample_id)
order by chosen.place;
