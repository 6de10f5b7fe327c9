-- Requests the lease of an entry.
-- ARGV: 1 this process, 2 milliseconds, 3 whether to ignore an existing entry.
-- Returns 1: this process holds the lease, 2: there is an entry, 0: another process holds the lease.
if ARGV[3] == '0' and redis.call('EXISTS', KEYS[1]) == 1 then return 2 end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[2]) == ARGV[1] and 1 or 0
