-- Sums of reasoning tokens, for the table of the cost panel.
ALTER TABLE rollups ADD COLUMN reasoning_output_tokens INTEGER;
DELETE FROM rollups;
INSERT INTO rollups (
  day, operation_name, provider_name, request_model, response_model, status, error_type, cost_source,
  cache_hit, coalesced, stale, replayed, notebook, session_id,
  calls, unpriced, input_tokens, output_tokens, cost_nano, saved_nano, cache_read_input_tokens,
  cache_creation_input_tokens, provider_saved_nano, reasoning_output_tokens
) SELECT
  day, operation_name, provider_name, request_model, response_model, status, error_type, cost_source,
  cache_hit, coalesced, stale, replayed, notebook, session_id,
  count(*), sum(cost_nano IS NULL), sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(saved_nano),
  sum(cache_read_input_tokens), sum(cache_creation_input_tokens), sum(provider_saved_nano),
  sum(reasoning_output_tokens)
  FROM calls GROUP BY
  day, operation_name, provider_name, request_model, response_model, status, error_type, cost_source,
  cache_hit, coalesced, stale, replayed, notebook, session_id;
