-- Grants a call its whole cost, or nothing and the seconds to wait.
-- ARGV: 7 to 10 cost, 11 whether the caller is first in the queue of its process, 12 slots (0: no cap),
-- 13 seconds it can wait (-1: not at all), 14 seconds after which a silent process is dead.
-- Returns "1 SECOND 0" when granted, else "0 WAIT WHY"; WHY is a dimension, NO_SLOT or PAUSED.
local mine, ahead, line = nil, {0, 0, 0, 0}, redis.call('HGETALL', KEYS[2])
local entries = {}
for i = 1, #line, 2 do
  local e = cjson.decode(line[i + 1])
  if e[2] < now then redis.call('HDEL', KEYS[2], line[i])
  else
    if line[i] == ARGV[1] then mine = e[1] end
    entries[#entries + 1] = {line[i], e}
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
if paused > now then wait, why = paused - now, PAUSED end
for i = 1, 4 do
  local cost = tonumber(ARGV[6 + i])
  if limit[i] and cost > 0 then
    local short = math.min(cost, capacity[i]) + ahead[i] - level[i]
    if cost + ahead[i] > level[i] and short > ROUNDING and short / rate[i] > wait then
      wait, why = short / rate[i], i
    end
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
if wait <= 0 then why = NO_SLOT end
if wait > tonumber(ARGV[13]) then return '0 ' .. text(wait) .. ' ' .. why end
if not mine or ARGV[11] == '1' then
  if not mine then mine = redis.call('HINCRBY', KEYS[1], 'arrivals', 1) end
  local entry = {mine, now + wait + RETURN_SECONDS}
  for i = 1, 4 do entry[2 + i] = tonumber(ARGV[6 + i]) end
  redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(entry))
  redis.call('PEXPIRE', KEYS[2], KEEP_MS)
end
return '0 ' .. text(wait) .. ' ' .. why
