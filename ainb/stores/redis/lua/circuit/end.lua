-- Reports an outcome.
-- ARGV: 8 generation of the permit, 9 outcome (1 failed, 0 answered, -1 neutral),
-- 10 number of the probe (0: no probe), 11 answers of that generation not yet reported.
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
  redis.call('PEXPIRE', KEYS[1], KEEP_MS)
  if failed == '1' then
    local calls, failures = count()
    if calls >= tonumber(ARGV[2]) and failures >= tonumber(ARGV[3]) * calls then open(); save() end
  end
end
return answer(0)
