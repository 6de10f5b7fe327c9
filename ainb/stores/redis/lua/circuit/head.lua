-- Shared circuit breaker: the part that every script of a circuit begins with.
-- KEYS: 1 the circuit (hash), 2 its probes (a prefix; the keys 2:1 to 2:n are set and expire by themselves).
-- ARGV: 1 window, 2 minimum calls, 3 failure rate, 4 first open time, 5 longest open time, 6 probes,
-- 7 jitter from 0 to 1; times in seconds; the rest by script.
-- Every script returns "GRANTED STATE GENERATION SECONDS_LEFT CALLS FAILURES".
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
local row = redis.call('HMGET', KEYS[1], 'state', 'generation', 'until', 'next', 'successes', 'probing')
local state, generation = row[1] or 'closed', tonumber(row[2]) or 0
local open_until, next_open = tonumber(row[3]) or 0, tonumber(row[4]) or tonumber(ARGV[4])
local successes, probing = tonumber(row[5]) or 0, tonumber(row[6]) or 0
local index = math.floor(now / (tonumber(ARGV[1]) / BUCKETS))
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
    if kind and tonumber(place) <= index - BUCKETS then redis.call('HDEL', KEYS[1], all[i])
    elseif kind == 'c' then calls = calls + tonumber(all[i + 1])
    elseif kind == 'f' then failures = failures + tonumber(all[i + 1]) end
  end
  return calls, failures
end
local function open()
  enter('open')
  open_until = now + next_open * (1 - OPEN_JITTER * tonumber(ARGV[7]))
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
  redis.call('HSET', KEYS[1], 'state', state, 'generation', generation,
    'until', string.format('%.17g', open_until), 'next', next_open,
    'successes', successes, 'probing', probing)
  redis.call('PEXPIRE', KEYS[1], KEEP_MS)
end
local function answer(granted)
  local calls, failures = count()
  local left = string.format('%.6f', math.max(0, open_until - now))
  return table.concat({granted, state, generation, left, calls, failures}, ' ')
end
