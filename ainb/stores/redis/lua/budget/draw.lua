-- Draws money for the calls of one process.
-- ARGV: 2 owner, 3 amount needed, 4 amount wanted, 5 limit, 6 seconds after which a silent owner is dead.
-- Grants -1 if the owner itself counts as dead: it must take another name first.
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
if not redis.call('ZSCORE', KEYS[3], ARGV[2]) then return answer(-1) end
local need, want, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function release_dead()
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    local owner, kind = string.match(field, '^(.*)|(%w+)$')
    local heartbeat = redis.call('ZSCORE', KEYS[3], owner)
    if not heartbeat or tonumber(heartbeat) < now - tonumber(ARGV[6]) then
      redis.call('ZREM', KEYS[3], owner)
      if kind ~= 'pot' then redis.call('HINCRBY', KEYS[1], day, redis.call('HGET', KEYS[2], field)) end
      redis.call('HDEL', KEYS[2], field)
    end
  end
end
local granted = 0
local taken = spent() + aside()
if taken + need > limit and spent() + need <= limit then release_dead(); taken = spent() + aside() end
if taken + want <= limit / 2 then granted = want
elseif taken + need <= limit then granted = need end
if granted > 0 then
  redis.call('HINCRBY', KEYS[2], ARGV[2] .. '|pot', whole(granted))
  redis.call('PEXPIRE', KEYS[2], KEEP_MS)
end
return answer(granted)
