-- Returns drawn money.
-- ARGV: 5 owner, 6 amount.
local field = ARGV[5] .. '|pot'
local pot = tonumber(redis.call('HGET', KEYS[2], field) or '0')
local left = pot - math.min(pot, tonumber(ARGV[6]))
if left > 0 then redis.call('HSET', KEYS[2], field, whole(left))
else redis.call('HDEL', KEYS[2], field) end
return answer(0)
