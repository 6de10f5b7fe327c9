"""The Lua of the shared rate limit.

Keys: 1 the levels of a place (hash), 2 the processes in line (hash), 3 calls in flight by process (hash), 4 peers (sorted set).
Arguments: 1 this process, 2 to 5 limits a minute ("" for none), 6 strict; the rest by script.

A level refills at its rate up to its capacity, and may be owed. This is the bucket of `ainb.pipeline.rate_limit.buckets`; GCRA is the same
bucket written as a point in time, which does not bear a limit that changes. A level is kept with the server's second at which
it held, and all are brought up to now before they are read.
"""

from __future__ import annotations

from ainb.pipeline.rate_limit.buckets import BURST_SHARE, ROUNDING, SMALLEST_STRICT_BURST, WINDOW_SECONDS
from ainb.pipeline.rate_limit.queue import LEAST_SHARE, REGROWTH, SLOW_DOWN_SECONDS, SLOWER
from ainb.stores.redis.script import script

KEEP_MS = 2 * 3600 * 1000
COMEBACK_SECONDS = 1.0  # who does not come back to ask within this after its wait loses its place

_HEAD = f"""
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
local seen = redis.call('HMGET', KEYS[1], 'at', 'paused', 'share', 'l1', 'l2', 'l3', 'l4', 'c1', 'c2', 'c3', 'c4', 'slowed', 'grown')
local at = math.min(tonumber(seen[1]) or now, now)
local paused = tonumber(seen[2]) or 0
local share = tonumber(seen[3]) or 1
local limit, capacity, rate, level, caps = {{}}, {{}}, {{}}, {{}}, {{}}
local function text(x) return string.format('%.17g', x) end
local function shape(i)
  local l = math.min(tonumber(ARGV[1 + i]) or math.huge, caps[i] or math.huge) * share
  if l == math.huge then limit[i] = nil return end
  limit[i] = l
  capacity[i] = l / {BURST_SHARE}
  if ARGV[6] == '0' or l >= {SMALLEST_STRICT_BURST} then capacity[i] = math.max(1, capacity[i]) end
  rate[i] = (ARGV[6] == '1' and l - capacity[i] or l) / {WINDOW_SECONDS}
end
local function load()
  for i = 1, 4 do
    caps[i] = tonumber(seen[7 + i])
    shape(i)
    if limit[i] then
      level[i] = math.min(capacity[i], (tonumber(seen[3 + i]) or capacity[i]) + (now - at) * rate[i])
    end
  end
end
local function reshape()
  for i = 1, 4 do
    shape(i)
    if limit[i] then level[i] = math.min(capacity[i], level[i] or capacity[i]) end
  end
end
local function save()
  local row = {{'at', text(now)}}
  for i = 1, 4 do
    if limit[i] then row[#row + 1] = 'l' .. i; row[#row + 1] = text(level[i]) end
  end
  redis.call('HSET', KEYS[1], unpack(row))
  redis.call('PEXPIRE', KEYS[1], {KEEP_MS})
end
local function alive(owner, seconds)
  local beat = redis.call('ZSCORE', KEYS[4], owner)
  return owner == ARGV[1] or (beat and tonumber(beat) > now - seconds)
end
local function in_flight(seconds)
  local sum, flights = 0, redis.call('HGETALL', KEYS[3])
  for i = 1, #flights, 2 do
    if alive(flights[i], seconds) then sum = sum + tonumber(flights[i + 1])
    else redis.call('HDEL', KEYS[3], flights[i]) end
  end
  return sum
end
load()
"""

# 7 to 10 cost, 11 whether first in this process's line, 12 slots (0: no cap), 13 seconds it can wait (-1: not at all),
# 14 seconds after which a silent process is dead.
# Returns "1 SECOND 0" when granted, else "0 WAIT WHY", where WHY is a dimension, 5 for slots or 6 for a pause.
ACQUIRE = script(
    _HEAD
    + f"""
local mine, ahead, line = nil, {{0, 0, 0, 0}}, redis.call('HGETALL', KEYS[2])
local entries = {{}}
for i = 1, #line, 2 do
  local e = cjson.decode(line[i + 1])
  if e[2] < now then redis.call('HDEL', KEYS[2], line[i])
  else
    if line[i] == ARGV[1] then mine = e[1] end
    entries[#entries + 1] = {{line[i], e}}
  end
end
local before = ARGV[11] == '1' and mine or math.huge
for _, entry in ipairs(entries) do
  local e = entry[2]
  if e[1] < before then
    for i = 1, 4 do if limit[i] then ahead[i] = ahead[i] + math.min(e[2 + i], capacity[i]) end end
  end
end
local wait, why = 0, 0
if paused > now then wait, why = paused - now, {6} end
for i = 1, 4 do
  local cost = tonumber(ARGV[6 + i])
  if limit[i] and cost > 0 then
    local short = math.min(cost, capacity[i]) + ahead[i] - level[i]
    if cost + ahead[i] > level[i] and short > {ROUNDING} and short / rate[i] > wait then wait, why = short / rate[i], i end
  end
end
local slots = tonumber(ARGV[12])
local full = slots > 0 and in_flight(tonumber(ARGV[14])) >= slots
if wait <= 0 and not full then
  for i = 1, 4 do if limit[i] then level[i] = level[i] - tonumber(ARGV[6 + i]) end end
  save()
  redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
  if mine and ARGV[11] == '1' then redis.call('HDEL', KEYS[2], ARGV[1]) end
  return '1 ' .. text(now) .. ' 0'
end
if wait <= 0 then why = {5} end
if wait > tonumber(ARGV[13]) then return '0 ' .. text(wait) .. ' ' .. why end
if not mine or ARGV[11] == '1' then
  if not mine then mine = redis.call('HINCRBY', KEYS[1], 'arrivals', 1) end
  local entry = {{mine, now + wait + {COMEBACK_SECONDS}}}
  for i = 1, 4 do entry[2 + i] = tonumber(ARGV[6 + i]) end
  redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(entry))
  redis.call('PEXPIRE', KEYS[2], {KEEP_MS})
end
return '0 ' .. text(wait) .. ' ' .. why
"""
)

# 7 to 10 what comes back of each dimension (below 0: more was used than reserved).
SETTLE = script(
    _HEAD
    + f"""
if redis.call('HINCRBY', KEYS[3], ARGV[1], -1) <= 0 then redis.call('HDEL', KEYS[3], ARGV[1]) end
for i = 1, 4 do if limit[i] then level[i] = math.min(capacity[i], level[i] + tonumber(ARGV[6 + i])) end end
if share < 1 then
  local grown = tonumber(seen[13]) or now
  share = math.min(1, share + {REGROWTH} * math.max(0, math.min(1, now - grown)))
  reshape()
  redis.call('HSET', KEYS[1], 'share', text(share), 'grown', text(now))
end
save()
return '1'
"""
)

# 7 the second at which the refused call was granted, 8 seconds of pause (0: none).
DRAIN = script(
    _HEAD
    + f"""
for i = 1, 4 do if limit[i] then level[i] = math.min(level[i], 0) end end
local slowed = tonumber(seen[12]) or 0
if tonumber(ARGV[7]) >= slowed and now >= slowed + {SLOW_DOWN_SECONDS} then
  share = math.max({LEAST_SHARE}, share * {SLOWER})
  reshape()
  redis.call('HSET', KEYS[1], 'share', text(share), 'slowed', text(now), 'grown', text(now))
end
if tonumber(ARGV[8]) > 0 then redis.call('HSET', KEYS[1], 'paused', text(math.max(paused, now + tonumber(ARGV[8])))) end
save()
return '1'
"""
)

# 1 seconds.
PAUSE = script(
    f"""
local clock = redis.call('TIME'); local until_s = clock[1] + clock[2] / 1e6 + tonumber(ARGV[1])
if until_s > (tonumber(redis.call('HGET', KEYS[1], 'paused')) or 0) then
  redis.call('HSET', KEYS[1], 'paused', string.format('%.17g', until_s))
  redis.call('PEXPIRE', KEYS[1], {KEEP_MS})
end
return '1'
"""
)

# 7 to 10 limits a minute that the provider told, 11 to 14 what it said remains ("" for unknown).
LEARN = script(
    _HEAD
    + """
for i = 1, 4 do
  local told = tonumber(ARGV[6 + i])
  if told and told ~= caps[i] then
    caps[i] = told
    redis.call('HSET', KEYS[1], 'c' .. i, text(told))
  end
end
reshape()
for i = 1, 4 do
  local left = tonumber(ARGV[10 + i])
  if left and limit[i] then level[i] = math.min(level[i], left) end
end
save()
return '1'
"""
)

# 7 seconds after which a silent process is dead.
# Returns calls in flight, seconds of pause left, share, and level, capacity and limit of each dimension (0 where there is none).
LOOK = script(
    _HEAD
    + """
local found = {tostring(in_flight(tonumber(ARGV[7]))), text(math.max(0, paused - now)), text(share)}
for i = 1, 4 do
  if limit[i] then
    found[#found + 1] = text(level[i]); found[#found + 1] = text(capacity[i]); found[#found + 1] = text(limit[i])
  else found[#found + 1] = '0'; found[#found + 1] = '0'; found[#found + 1] = '0' end
end
return table.concat(found, ' ')
"""
)

# 1 this process.
LEAVE = script("return redis.call('HDEL', KEYS[2], ARGV[1])")
