-- Grants no permits for a number of seconds.
-- KEYS as in head.lua. ARGV: 1 seconds.
local clock = redis.call('TIME'); local until_s = clock[1] + clock[2] / 1e6 + tonumber(ARGV[1])
if until_s > (tonumber(redis.call('HGET', KEYS[1], 'paused')) or 0) then
  redis.call('HSET', KEYS[1], 'paused', string.format('%.17g', until_s))
  redis.call('PEXPIRE', KEYS[1], KEEP_MS)
end
return '1'
