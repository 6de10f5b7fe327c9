"""What the server makes of outcomes: the scripts of `redis_circuit`."""

from __future__ import annotations

from ainb.pipeline.circuit.state_machine import BUCKETS, OPEN_JITTER
from ainb.stores.redis.script import script

KEEP_MS = 2 * 3600 * 1000

# Keys: 1 the circuit (hash), 2 its probes (prefix; the keys 2:1 … 2:n are set and expire by themselves).
# Arguments: 1 window, 2 minimum calls, 3 failure rate, 4 first open time, 5 longest, 6 probes, 7 jitter from 0 to 1, all in seconds
# where they are times; the rest by script. Every script returns "GRANTED STATE GENERATION SECONDS_LEFT CALLS FAILURES".
_HEAD = f"""
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
local row = redis.call('HMGET', KEYS[1], 'state', 'generation', 'until', 'next', 'successes', 'probing')
local state, generation = row[1] or 'closed', tonumber(row[2]) or 0
local open_until, next_open = tonumber(row[3]) or 0, tonumber(row[4]) or tonumber(ARGV[4])
local successes, probing = tonumber(row[5]) or 0, tonumber(row[6]) or 0
local index = math.floor(now / (tonumber(ARGV[1]) / {BUCKETS}))
local function enter(name) state = name; generation = generation + 1 end
local function forget()
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.match(field, '^[cf]%d+$') then redis.call('HDEL', KEYS[1], field) end
  end
end
local function count()
  local calls, failures, all = 0, 0, redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local kind, place = string.match(all[i], '^([cf])(%d+)$')
    if kind and tonumber(place) <= index - {BUCKETS} then redis.call('HDEL', KEYS[1], all[i])
    elseif kind == 'c' then calls = calls + tonumber(all[i + 1])
    elseif kind == 'f' then failures = failures + tonumber(all[i + 1]) end
  end
  return calls, failures
end
local function open()
  enter('open')
  open_until = now + next_open * (1 - {OPEN_JITTER} * tonumber(ARGV[7]))
  next_open = math.min(tonumber(ARGV[5]), 2 * next_open)
end
local function close()
  enter('closed'); forget(); next_open = tonumber(ARGV[4])
end
local function probes_out()
  local out = 0
  for i = 1, tonumber(ARGV[6]) do out = out + redis.call('EXISTS', KEYS[2] .. ':' .. i) end
  return out
end
local function save()
  redis.call('HSET', KEYS[1], 'state', state, 'generation', generation, 'until', string.format('%.17g', open_until),
    'next', next_open, 'successes', successes, 'probing', probing)
  redis.call('PEXPIRE', KEYS[1], {KEEP_MS})
end
local function answer(granted)
  local calls, failures = count()
  return table.concat({{granted, state, generation, string.format('%.6f', math.max(0, open_until - now)), calls, failures}}, ' ')
end
"""

LOOK = script(_HEAD + "return answer(0)")

# Grants 1 for a call, 1 more than its number for a probe, or 0 where the call is refused. A probe that outlives its time loses its
# slot to another one; by its number it is known that what it gives back is not its own any more.
BEGIN = script(
    _HEAD
    + """
if state == 'forced-open' then return answer(0) end
if state == 'closed' or state == 'disabled' then return answer(1) end
if state == 'open' then
  if now < open_until then return answer(0) end
  enter('half-open'); probing = generation; successes = 0
  for i = 1, tonumber(ARGV[6]) do redis.call('DEL', KEYS[2] .. ':' .. i) end
end
if successes + probes_out() >= tonumber(ARGV[6]) then return answer(0) end
local number = redis.call('HINCRBY', KEYS[1], 'probe', 1)
for i = 1, tonumber(ARGV[6]) do
  if redis.call('SET', KEYS[2] .. ':' .. i, number, 'NX', 'PX', math.ceil(tonumber(ARGV[4]) * 1000)) then
    open_until = now + tonumber(ARGV[4])
    save()
    return answer(number + 1)
  end
end
return answer(0)
"""
)

# 8 generation of the permit, 9 outcome (1 failed, 0 answered, -1 neither), 10 number of a probe (0: no probe), 11 answers of that
# generation that were not told yet.
END = script(
    _HEAD
    + """
local given, failed = tonumber(ARGV[8]), ARGV[9]
if state == 'half-open' and given >= probing then
  for i = 1, tonumber(ARGV[6]) do
    if redis.call('GET', KEYS[2] .. ':' .. i) == ARGV[10] then redis.call('DEL', KEYS[2] .. ':' .. i) end
  end
  if failed == '1' then open(); save()
  elseif failed == '0' then
    successes = successes + 1
    if successes >= tonumber(ARGV[6]) then close() end
    save()
  end
elseif state == 'closed' and given == generation then
  redis.call('HINCRBY', KEYS[1], 'c' .. index, tonumber(ARGV[11]) + (failed == '1' and 1 or 0))
  if failed == '1' then redis.call('HINCRBY', KEYS[1], 'f' .. index, 1) end
  redis.call('PEXPIRE', KEYS[1], """
    + str(KEEP_MS)
    + """)
  if failed == '1' then
    local calls, failures = count()
    if calls >= tonumber(ARGV[2]) and failures >= tonumber(ARGV[3]) * calls then open(); save() end
  end
end
return answer(0)
"""
)

# 8 "forced-open", "disabled" or "closed".
FORCE = script(_HEAD + "if ARGV[8] == 'closed' then close() else enter(ARGV[8]) end save() return answer(0)")
