-- The tables that hold the ledger. Times are UTC; money is nano-dollars.
create table llm_calls (
    request_id varchar not null,
    request_key varchar not null,
    attempt integer not null,
    status varchar not null,
    outcome varchar,
    error_kind varchar,
    error_detail varchar,
    http_status integer,
    role varchar not null,
    purpose varchar not null,
    operation varchar,
    provider varchar not null,
    model varchar not null,
    base_url varchar not null,
    prompt_version varchar not null,
    replica bigint not null,
    structured varchar,
    allowed_replies varchar,
    run_id varchar not null,
    asset_key varchar not null,
    partition_key varchar,
    transition_id varchar,
    sample_id varchar,
    prompt_tokens bigint,
    cached_tokens bigint,
    completion_tokens bigint,
    reasoning_tokens bigint,
    cache_write_tokens bigint,
    cost_nano_usd bigint,
    price_version varchar,
    latency_ms double,
    started_at timestamp not null,
    finished_at timestamp,
    process varchar not null,
    reserved_tokens bigint,
    reserved_nano_usd bigint,
    batch_id varchar
);

create table llm_requests (
    use_id varchar not null,
    request_key varchar not null,
    request_id varchar,
    reused boolean not null,
    outcome varchar not null,
    error_kind varchar,
    role varchar not null,
    purpose varchar not null,
    operation varchar,
    provider varchar not null,
    model varchar not null,
    run_id varchar not null,
    asset_key varchar not null,
    partition_key varchar,
    transition_id varchar,
    sample_id varchar,
    asked_at timestamp not null
);

create table answers (
    request_key varchar not null,
    request_id varchar not null,
    text varchar not null,
    finish_reason varchar not null,
    outcome varchar not null,
    usage struct(
        prompt_tokens bigint, cached_tokens bigint, completion_tokens bigint, reasoning_tokens bigint,
        cache_write_tokens bigint
    ) not null,
    reasoning varchar,
    probabilities varchar,
    created_at timestamp not null
);

-- How far this file has followed its sources.
create table read_model_state (
    read_model_version varchar not null,
    ledger_id varchar not null,
    attempts_seq bigint not null,
    results_seq bigint not null,
    uses_seq bigint not null,
    answers_seq bigint not null,
    refreshed_at timestamp not null
);

-- The assets' outputs, oldest first, as their manifests tell them.
create table artefacts (
    position bigint not null,
    folder varchar not null,
    manifest_sha256 varchar not null,
    current boolean not null,
    asset_key varchar,
    partition_key varchar,
    data_version varchar,
    code_version varchar,
    fingerprint varchar,
    run_id varchar,
    made_at varchar,
    inputs varchar,
    config varchar
);

-- Every sample's chain, by transitions: hop 1 is the edit of the seed, the last one made the sample.
create table sample_hops (
    sample_id varchar not null,
    hop integer not null,
    transition_id varchar not null
);
