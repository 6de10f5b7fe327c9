-- Marks this process as dead; another process settles for it when it needs the money.
-- KEYS: 1 peers. ARGV: 1 this process. A negative time says that it left.
local t = redis.call('TIME'); local now = t[1] + t[2] / 1e6
redis.call('ZADD', KEYS[1], -now, ARGV[1])
return '1'
