-- Books a cost without a reservation.
-- ARGV: 2 owner, 3 unused, 4 cost.
redis.call('HINCRBY', KEYS[1], day, ARGV[4])
redis.call('PEXPIRE', KEYS[1], KEEP_MS)
return answer(0)
