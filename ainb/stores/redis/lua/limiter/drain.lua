-- After a 429 of the provider: empties the buckets, pauses and slows down.
-- ARGV: 7 the second at which the refused call was granted, 8 seconds of pause (0: none).
for i = 1, 4 do if limit[i] then level[i] = math.min(level[i], 0) end end
local slowed = tonumber(seen[12]) or 0
if tonumber(ARGV[7]) >= slowed and now >= slowed + SLOW_DOWN_SECONDS then
  share = math.max(LEAST_SHARE, share * SLOWER)
  reshape()
  redis.call('HSET', KEYS[1], 'share', text(share), 'slowed', text(now), 'grown', text(now))
end
if tonumber(ARGV[8]) > 0 then
  redis.call('HSET', KEYS[1], 'paused', text(math.max(paused, now + tonumber(ARGV[8]))))
end
save()
return '1'
