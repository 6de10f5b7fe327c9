-- Moves the money of a call that is about to be sent from "drawn" to "sent".
-- ARGV: 5 owner, 6 serial, 7 amount. A repeated report counts once; money that was released in the meantime
-- is reserved again.
local owner, amount = ARGV[5], ARGV[7]
if redis.call('HSETNX', KEYS[2], owner .. '|' .. ARGV[6], amount) == 1 then
  local pot = tonumber(redis.call('HGET', KEYS[2], owner .. '|pot') or '0')
  if pot >= tonumber(amount) then redis.call('HINCRBY', KEYS[2], owner .. '|pot', '-' .. amount) end
end
return answer(0)
