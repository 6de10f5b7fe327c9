-- Books the cost of a sent call in place of its reservation.
-- ARGV: 5 owner, 6 serial, 7 cost, 8 highest ratio of cost to estimate of this process ("" if unchanged).
-- A call whose owner was declared dead is already booked with its presumed cost, and only the difference is
-- booked here. An unknown call was settled before.
local owner, field, cost = ARGV[5], ARGV[5] .. '|' .. ARGV[6], tonumber(ARGV[7])
if redis.call('HDEL', KEYS[2], field) == 1 then book(cost)
else
  local counted = redis.call('HGET', KEYS[4], field)
  if counted then redis.call('HDEL', KEYS[4], field); book(cost - tonumber(counted)) end
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[4], owner, ARGV[8])
  redis.call('PEXPIRE', KEYS[4], KEEP_MS)
end
return answer(0)
