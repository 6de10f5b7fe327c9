"""What the server does with money: the scripts of `redis_book`."""

from __future__ import annotations

from ainb.stores.redis.script import script

KEEP_MS = 40 * 24 * 3600 * 1000

# Keys: 1 spent (hash of days), 2 set aside on a day (hash: "OWNER|pot" not sent, "OWNER|SERIAL" sent), 3 peers.
# Every script returns "GRANTED SPENT SET_ASIDE".
_HEAD = """
local day = ARGV[1]
local function aside()
  local sum, all = 0, redis.call('HVALS', KEYS[2])
  for _, amount in ipairs(all) do sum = sum + tonumber(amount) end
  return sum
end
local function spent() return tonumber(redis.call('HGET', KEYS[1], day) or '0') end
local function whole(x) return string.format('%.0f', x) end
local function answer(granted) return whole(granted) .. ' ' .. whole(spent()) .. ' ' .. whole(aside()) end
"""

# 2 owner, 3 amount needed, 4 amount wanted, 5 limit, 6 seconds after which a silent owner is dead.
# -1 is granted where the owner itself counts as dead: it must take another name first.
DRAW = script(
    _HEAD
    + f"""
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
if not redis.call('ZSCORE', KEYS[3], ARGV[2]) then return answer(-1) end
local need, want, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function bury()
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    local owner, kind = string.match(field, '^(.*)|(%w+)$')
    local beat = redis.call('ZSCORE', KEYS[3], owner)
    if not beat or tonumber(beat) < now - tonumber(ARGV[6]) then
      redis.call('ZREM', KEYS[3], owner)
      if kind ~= 'pot' then redis.call('HINCRBY', KEYS[1], day, redis.call('HGET', KEYS[2], field)) end
      redis.call('HDEL', KEYS[2], field)
    end
  end
end
local granted = 0
local taken = spent() + aside()
if taken + need > limit and spent() + need <= limit then bury(); taken = spent() + aside() end
if taken + want <= limit / 2 then granted = want
elseif taken + need <= limit then granted = need end
if granted > 0 then
  redis.call('HINCRBY', KEYS[2], ARGV[2] .. '|pot', whole(granted))
  redis.call('PEXPIRE', KEYS[2], {KEEP_MS})
end
return answer(granted)
"""
)
# 2 owner, 3 serial, 4 amount. Said twice it counts once; money that was given to others meanwhile is set aside again.
SENT = script(
    _HEAD
    + """
if redis.call('HSETNX', KEYS[2], ARGV[2] .. '|' .. ARGV[3], ARGV[4]) == 1 then
  local pot = tonumber(redis.call('HGET', KEYS[2], ARGV[2] .. '|pot') or '0')
  if pot >= tonumber(ARGV[4]) then redis.call('HINCRBY', KEYS[2], ARGV[2] .. '|pot', '-' .. ARGV[4]) end
end
return '0'
"""
)
# 2 owner, 3 serial, 4 cost. Where there is no such call it was settled before, or booked at its estimate with a dead owner's.
SETTLE = script(
    _HEAD
    + f"""
if redis.call('HDEL', KEYS[2], ARGV[2] .. '|' .. ARGV[3]) == 1 then redis.call('HINCRBY', KEYS[1], day, ARGV[4]) end
redis.call('PEXPIRE', KEYS[1], {KEEP_MS})
return answer(0)
"""
)
SPEND = script(
    _HEAD
    + f"""
redis.call('HINCRBY', KEYS[1], day, ARGV[4])
redis.call('PEXPIRE', KEYS[1], {KEEP_MS})
return answer(0)
"""
)
# 2 owner, 3 amount that goes back.
GIVE_BACK = script(
    _HEAD
    + """
local pot = tonumber(redis.call('HGET', KEYS[2], ARGV[2] .. '|pot') or '0')
local left = pot - math.min(pot, tonumber(ARGV[3]))
if left > 0 then redis.call('HSET', KEYS[2], ARGV[2] .. '|pot', whole(left)) else redis.call('HDEL', KEYS[2], ARGV[2] .. '|pot') end
return answer(0)
"""
)
# 2 owner, 3 the least that was spent (nothing remembers it but this process), 4 what it holds that is not sent.
RESTORE = script(
    _HEAD
    + """
if spent() < tonumber(ARGV[3]) then redis.call('HSET', KEYS[1], day, ARGV[3]) end
if tonumber(ARGV[4]) > 0 then redis.call('HSET', KEYS[2], ARGV[2] .. '|pot', ARGV[4])
else redis.call('HDEL', KEYS[2], ARGV[2] .. '|pot') end
return answer(0)
"""
)
LOOK = script(_HEAD + "return answer(0)")
RESET = script(_HEAD + "redis.call('HDEL', KEYS[1], day) return answer(0)")
