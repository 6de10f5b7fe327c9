-- Restores the drawn money of a process after a reconnection; every script restores the spent amount.
-- ARGV: 5 owner, 6 drawn money that is not sent, 7 what is left of its share.
local field = ARGV[5] .. '|pot'
if tonumber(ARGV[6]) > 0 then redis.call('HSET', KEYS[2], field, ARGV[6])
else redis.call('HDEL', KEYS[2], field) end
redis.call('PEXPIRE', KEYS[2], KEEP_MS)
set_share(ARGV[5], tonumber(ARGV[7]))
return answer(0)
