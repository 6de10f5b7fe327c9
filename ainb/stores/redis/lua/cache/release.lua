-- Releases the lease if this process holds it. ARGV: 1 this process.
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
