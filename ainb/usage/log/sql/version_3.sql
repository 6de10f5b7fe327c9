-- Savings by providers' prompt caches, and number of table rows per call: unknown for earlier calls. The
-- rollups get the tokens read from and written to these caches.
CREATE TABLE new_calls (
  id INTEGER PRIMARY KEY,
  day INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  operation_name INTEGER NOT NULL,
  provider_name INTEGER NOT NULL,
  request_model INTEGER NOT NULL,
  response_model INTEGER NOT NULL,
  input_tokens INTEGER,
  output_tokens INTEGER,
  cache_read_input_tokens INTEGER,
  cache_creation_input_tokens INTEGER,
  reasoning_output_tokens INTEGER,
  tokens_source INTEGER NOT NULL,
  cost_nano INTEGER,
  cost_source INTEGER NOT NULL,
  saved_nano INTEGER,
  provider_saved_nano INTEGER,
  duration_us INTEGER,
  queue_wait_us INTEGER,
  time_to_first_chunk_us INTEGER,
  attempts INTEGER,
  status INTEGER NOT NULL,
  error_type INTEGER NOT NULL,
  http_status INTEGER,
  cache_hit INTEGER NOT NULL,
  coalesced INTEGER NOT NULL,
  stale INTEGER NOT NULL,
  replayed INTEGER NOT NULL,
  delivery INTEGER NOT NULL,
  finish_reason INTEGER NOT NULL,
  notebook INTEGER NOT NULL,
  cell_id INTEGER NOT NULL,
  session_id INTEGER NOT NULL,
  batch_id INTEGER NOT NULL,
  rows INTEGER,
  user INTEGER NOT NULL,
  tags INTEGER NOT NULL,
  call_id TEXT NOT NULL,
  error_message TEXT,
  request_id TEXT,
  row_key TEXT,
  prompt_sha256 TEXT,
  prompt TEXT,
  reply TEXT
);
INSERT INTO new_calls (
  id, day, started_us, operation_name, provider_name, request_model, response_model, input_tokens,
  output_tokens, cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens,
  tokens_source, cost_nano, cost_source, saved_nano, duration_us, queue_wait_us,
  time_to_first_chunk_us, attempts, status, error_type, http_status, cache_hit, coalesced, stale,
  replayed, delivery, finish_reason, notebook, cell_id, session_id, batch_id, user, tags, call_id,
  error_message, request_id, row_key, prompt_sha256, prompt, reply
) SELECT
  id, day, started_us, operation_name, provider_name, request_model, response_model, input_tokens,
  output_tokens, cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens,
  tokens_source, cost_nano, cost_source, saved_nano, duration_us, queue_wait_us,
  time_to_first_chunk_us, attempts, status, error_type, http_status, cache_hit, coalesced, stale,
  replayed, delivery, finish_reason, notebook, cell_id, session_id, batch_id, user, tags, call_id,
  error_message, request_id, row_key, prompt_sha256, prompt, reply
  FROM calls;
DROP TABLE calls;
ALTER TABLE new_calls RENAME TO calls;
CREATE INDEX calls_started ON calls (started_us);
CREATE INDEX calls_failed ON calls (started_us) WHERE error_type > 0;
ALTER TABLE rollups ADD COLUMN cache_read_input_tokens INTEGER;
ALTER TABLE rollups ADD COLUMN cache_creation_input_tokens INTEGER;
ALTER TABLE rollups ADD COLUMN provider_saved_nano INTEGER;
DELETE FROM rollups;
INSERT INTO rollups (
  day, operation_name, provider_name, request_model, response_model, status, error_type, cost_source,
  cache_hit, coalesced, stale, replayed, notebook, session_id,
  calls, unpriced, input_tokens, output_tokens, cost_nano, saved_nano, cache_read_input_tokens,
  cache_creation_input_tokens
) SELECT
  day, operation_name, provider_name, request_model, response_model, status, error_type, cost_source,
  cache_hit, coalesced, stale, replayed, notebook, session_id,
  count(*), sum(cost_nano IS NULL), sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(saved_nano),
  sum(cache_read_input_tokens), sum(cache_creation_input_tokens)
  FROM calls GROUP BY
  day, operation_name, provider_name, request_model, response_model, status, error_type, cost_source,
  cache_hit, coalesced, stale, replayed, notebook, session_id;
