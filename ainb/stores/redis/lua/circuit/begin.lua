-- Requests a permit: grants 1 for a call, 1 more than its number for a probe, 0 if the call is refused.
-- A probe that exceeds its time loses its slot to another one. Its number shows that the slot it returns is
-- no longer its own.
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
