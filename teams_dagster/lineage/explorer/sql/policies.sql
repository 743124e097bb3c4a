select policy_version, algorithm, instructor, reviewer, guide, iterations, queries, cost_nano_usd, unpriced, run_id
from policies
order by policy_version;
