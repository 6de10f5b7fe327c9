-- Books the cost of a sent call in place of its reservation.
-- ARGV: 2 owner, 3 serial, 4 cost. An unknown call was already settled, or booked at its
-- estimate when its owner counted as dead.
if redis.call('HDEL', KEYS[2], ARGV[2] .. '|' .. ARGV[3]) == 1 then
  redis.call('HINCRBY', KEYS[1], day, ARGV[4])
end
redis.call('PEXPIRE', KEYS[1], KEEP_MS)
return answer(0)
