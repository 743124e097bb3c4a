select seed_id, source, source_sha256, row, text, input, response, cluster_id
from seeds
where seed_id in (select seed_id from samples join chosen using (sample_id))
order by seed_id;
