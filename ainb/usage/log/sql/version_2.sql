-- Every earlier call was live. The table is rebuilt, so that its integers come before its texts.
INSERT OR IGNORE INTO words (word) VALUES ('live');
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
INSERT INTO new_calls SELECT id, day, started_us, operation_name, provider_name,
  request_model, response_model, input_tokens, output_tokens, cache_read_input_tokens,
  cache_creation_input_tokens, reasoning_output_tokens, tokens_source, cost_nano, cost_source, saved_nano,
  duration_us, queue_wait_us,
  time_to_first_chunk_us, attempts, status, error_type, http_status, cache_hit, coalesced, stale,
  replayed, (SELECT id FROM words WHERE word = 'live'), finish_reason, notebook, cell_id,
  session_id, batch_id, user, tags, call_id, error_message, request_id, row_key, prompt_sha256,
  prompt, reply
  FROM calls;
DROP TABLE calls;
ALTER TABLE new_calls RENAME TO calls;
CREATE INDEX calls_started ON calls (started_us);
CREATE INDEX calls_failed ON calls (started_us) WHERE error_type > 0;
