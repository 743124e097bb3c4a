-- What became of the queries: asked = kept + each named cause. `unexplained` is what this does not add up to: 0.
create view request_outcomes as
select
    asset_key,
    partition_key,
    run_id,
    role,
    purpose,
    count(*) as asked,
    count(*) filter (outcome = 'usable') as kept,
    $causes,
    asked - kept - ($sum_of_causes) as unexplained
from llm_requests
group by asset_key, partition_key, run_id, role, purpose
order by all;
