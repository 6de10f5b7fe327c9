-- Shared rate limit: the part that every script of a limiter begins with. Loads all buckets, refilled to now.
-- KEYS: 1 levels of the limiter (hash), 2 processes in the queue (hash), 3 calls in flight by process (hash),
-- 4 peers (sorted set by the time of the last heartbeat).
-- ARGV: 1 this process, 2 to 5 limits per minute ("" for none), 6 strict (0 or 1); the rest by script.
-- A level refills at its rate up to its capacity and may be negative. GCRA is the same bucket written as a
-- point in time, which does not allow for a limit that changes.
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
local seen = redis.call('HMGET', KEYS[1], 'at', 'paused', 'share', 'l1', 'l2', 'l3', 'l4', 'c1', 'c2', 'c3',
  'c4', 'slowed', 'grown')
local at = math.min(tonumber(seen[1]) or now, now)
local paused = tonumber(seen[2]) or 0
local share = tonumber(seen[3]) or 1
local limit, capacity, rate, level, caps = {}, {}, {}, {}, {}
local function text(x) return string.format('%.17g', x) end
local function shape(i)
  local l = math.min(tonumber(ARGV[1 + i]) or math.huge, caps[i] or math.huge) * share
  if l == math.huge then limit[i] = nil return end
  limit[i] = l
  capacity[i] = l / BURST_SHARE
  if ARGV[6] == '0' or l >= SMALLEST_STRICT_BURST then capacity[i] = math.max(1, capacity[i]) end
  rate[i] = (ARGV[6] == '1' and l - capacity[i] or l) / WINDOW_SECONDS
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
  local row = {'at', text(now)}
  for i = 1, 4 do
    if limit[i] then row[#row + 1] = 'l' .. i; row[#row + 1] = text(level[i]) end
  end
  redis.call('HSET', KEYS[1], unpack(row))
  redis.call('PEXPIRE', KEYS[1], KEEP_MS)
end
local function alive(owner, seconds)
  local heartbeat = redis.call('ZSCORE', KEYS[4], owner)
  return owner == ARGV[1] or (heartbeat and tonumber(heartbeat) > now - seconds)
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
