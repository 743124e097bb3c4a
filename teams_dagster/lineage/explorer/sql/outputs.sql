-- What the rows of the page came from.
select asset_key, partition_key, run_id, code_version, fingerprint, data_version, made_at
from artefacts
where current and asset_key in ('generated_instructions', 'expert_responses')
order by asset_key, partition_key;
