-- Returns a permit.
-- ARGV: 7 to 10 amounts returned per dimension (below 0: more was used than reserved).
if redis.call('HINCRBY', KEYS[3], ARGV[1], -1) <= 0 then redis.call('HDEL', KEYS[3], ARGV[1]) end
for i = 1, 4 do
  if limit[i] then level[i] = math.min(capacity[i], level[i] + tonumber(ARGV[6 + i])) end
end
if share < 1 then
  local grown = tonumber(seen[13]) or now
  share = math.min(1, share + REGROWTH * math.max(0, math.min(1, now - grown)))
  reshape()
  redis.call('HSET', KEYS[1], 'share', text(share), 'grown', text(now))
end
save()
return '1'
