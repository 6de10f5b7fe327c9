-- Returns drawn money.
-- ARGV: 2 owner, 3 amount.
local pot = tonumber(redis.call('HGET', KEYS[2], ARGV[2] .. '|pot') or '0')
local left = pot - math.min(pot, tonumber(ARGV[3]))
if left > 0 then redis.call('HSET', KEYS[2], ARGV[2] .. '|pot', whole(left))
else redis.call('HDEL', KEYS[2], ARGV[2] .. '|pot') end
return answer(0)
