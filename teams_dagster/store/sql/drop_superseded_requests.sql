-- A query that failed and was answered when its step ran again counts once, answered.
delete from llm_requests as failure
where outcome = 'failed' and exists (
    select 1 from llm_requests as answered
    where answered.use_id = failure.use_id and answered.outcome <> 'failed'
);
