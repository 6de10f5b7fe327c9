-- Reads an entry; if there is none, takes the lease on request.
-- KEYS: 1 the entry, 2 its lease. ARGV: 1 this process, 2 milliseconds of a lease (0: do not take one).
-- Returns the text, or 1 if this process now holds the lease, else 0.
local text = redis.call('GET', KEYS[1])
if text then return text end
if ARGV[2] ~= '0' and redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
