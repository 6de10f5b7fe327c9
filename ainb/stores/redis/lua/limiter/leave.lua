-- Removes this process from the queue.
-- KEYS as in head.lua. ARGV: 1 this process.
return redis.call('HDEL', KEYS[2], ARGV[1])
