-- Moves the money of a call that is about to be sent from "drawn" to "sent".
-- ARGV: 2 owner, 3 serial, 4 amount. A repeated report counts once; money that was granted to
-- other processes in the meantime is reserved again.
if redis.call('HSETNX', KEYS[2], ARGV[2] .. '|' .. ARGV[3], ARGV[4]) == 1 then
  local pot = tonumber(redis.call('HGET', KEYS[2], ARGV[2] .. '|pot') or '0')
  if pot >= tonumber(ARGV[4]) then redis.call('HINCRBY', KEYS[2], ARGV[2] .. '|pot', '-' .. ARGV[4]) end
end
return '0'
