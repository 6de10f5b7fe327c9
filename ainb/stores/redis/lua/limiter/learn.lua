-- Applies limits from the provider's headers.
-- ARGV: 7 to 10 limits per minute, 11 to 14 remaining amounts ("" for unknown).
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
