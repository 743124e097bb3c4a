select model_version, kind, dataset_version, base_version, run_id
from models
where dataset_version in (select dataset_version from dataset_samples join chosen using (sample_id))
order by kind, model_version;
