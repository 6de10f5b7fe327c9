-- Renews the lease if this process holds it. ARGV: 1 this process, 2 milliseconds.
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('PEXPIRE', KEYS[2], ARGV[2]) end
return 1
