-- Stores an entry and releases its lease.
-- ARGV: 1 this process, 2 the text, 3 milliseconds to keep it (0: no limit).
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
