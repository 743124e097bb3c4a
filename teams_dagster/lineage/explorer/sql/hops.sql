select chosen.place - 1 as sample, hops.transition_id
from sample_hops as hops
join chosen using (sample_id)
order by chosen.place, hops.hop;
