-- Restores an account after a reconnect.
-- ARGV: 2 owner, 3 lower bound of the money spent (perhaps known only to this process),
-- 4 drawn money not yet sent.
if spent() < tonumber(ARGV[3]) then redis.call('HSET', KEYS[1], day, ARGV[3]) end
if tonumber(ARGV[4]) > 0 then redis.call('HSET', KEYS[2], ARGV[2] .. '|pot', ARGV[4])
else redis.call('HDEL', KEYS[2], ARGV[2] .. '|pot') end
return answer(0)
