select dataset_samples.dataset_version, chosen.place - 1 as sample, dataset_samples.split
from dataset_samples
join chosen using (sample_id)
order by dataset_samples.dataset_version, chosen.place;
