-- Sums by user, with what tells billed calls from free ones.
CREATE TABLE user_rollups (
  day INTEGER NOT NULL,
  user INTEGER NOT NULL,
  provider_name INTEGER NOT NULL,
  request_model INTEGER NOT NULL,
  status INTEGER NOT NULL,
  cost_source INTEGER NOT NULL,
  cache_hit INTEGER NOT NULL,
  coalesced INTEGER NOT NULL,
  replayed INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  input_tokens INTEGER,
  output_tokens INTEGER,
  cost_nano INTEGER,
  saved_nano INTEGER,
  cache_read_input_tokens INTEGER,
  cache_creation_input_tokens INTEGER,
  provider_saved_nano INTEGER,
  reasoning_output_tokens INTEGER,
  PRIMARY KEY (day, user, provider_name, request_model, status, cost_source, cache_hit, coalesced, replayed)
) WITHOUT ROWID;
INSERT INTO user_rollups (
  day, user, provider_name, request_model, status, cost_source, cache_hit, coalesced, replayed,
  calls, unpriced, input_tokens, output_tokens, cost_nano, saved_nano, cache_read_input_tokens,
  cache_creation_input_tokens, provider_saved_nano, reasoning_output_tokens
) SELECT
  day, user, provider_name, request_model, status, cost_source, cache_hit, coalesced, replayed,
  count(*), sum(cost_nano IS NULL), sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(saved_nano),
  sum(cache_read_input_tokens), sum(cache_creation_input_tokens), sum(provider_saved_nano),
  sum(reasoning_output_tokens)
  FROM calls GROUP BY
  day, user, provider_name, request_model, status, cost_source, cache_hit, coalesced, replayed;
