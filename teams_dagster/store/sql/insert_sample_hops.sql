-- Chains follow transition ids: the same text is reached on several paths. Samples of the past have theirs, too. No
-- episode is as long as the bound: it ends a chain that a damaged file leads in a circle.
insert into sample_hops
with recursive made as (
    select sample_id, transition_id from samples
    union
    select sample_id, transition_id from transitions where sample_id is not null
),
chain as (
    select made.sample_id, made.transition_id, step.parent_transition_id, 0 as above
    from made
    left join transitions as step on step.transition_id = made.transition_id
    union all
    select chain.sample_id, parent.transition_id, parent.parent_transition_id, chain.above + 1
    from chain
    join transitions as parent on parent.transition_id = chain.parent_transition_id
    where chain.above < 100
)
select sample_id, max(above) over (partition by sample_id) - above + 1 as hop, transition_id
from chain;
