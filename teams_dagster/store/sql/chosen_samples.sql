-- Samples with the answer that a dataset takes: of several the one that the scores chose, else the first that no rule
-- refused. Scores of other answers than those that are stored choose nothing.
create view chosen_samples as
select
    samples.* exclude (row_hash) replace (
        if(chosen.sample_id is null, samples.response, chosen.response) as response,
        if(chosen.sample_id is null, samples.respond_request_id, chosen.respond_request_id) as respond_request_id,
        if(chosen.sample_id is null, samples.reasoning, chosen.reasoning) as reasoning
    )
from samples
left join (
    select given.sample_id, given.response, given.respond_request_id, given.reasoning
    from sample_answers as given
    join pair_scores as scored
        on scored.sample_id = given.sample_id
        and scored.answer = given.answer
        and scored.respond_request_id = given.respond_request_id
    where scored.chosen
) as chosen on chosen.sample_id = samples.sample_id;
