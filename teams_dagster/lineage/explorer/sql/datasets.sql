-- Versions of the dataset, the oldest first; `latest` is the one that downstream reads.
select
    version.dataset_version,
    made.made_at,
    made.code_version,
    coalesce(made.run_id, version.run_id) as run_id,
    coalesce(made.latest, false) as latest
from (
    select dataset_version, min(run_id) as run_id
    from dataset_samples
    join chosen using (sample_id)
    group by dataset_version
    union
    select data_version, run_id from artefacts where asset_key = 'instruction_dataset' and current
) as version
left join (
    select
        data_version as dataset_version,
        max(made_at) as made_at,
        arg_max(code_version, made_at) as code_version,
        arg_max(run_id, made_at) as run_id,
        bool_or(current) as latest
    from artefacts
    where asset_key = 'instruction_dataset'
    group by data_version
) as made using (dataset_version)
qualify row_number() over (partition by version.dataset_version order by version.run_id) = 1
order by made.made_at nulls first, version.dataset_version;
