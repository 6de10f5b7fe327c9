-- Sets the spent amount to 0; reservations stay.
open_account()
redis.call('HSET', KEYS[1], day, 0)
redis.call('HINCRBY', KEYS[1], mark, 1)
redis.call('PEXPIRE', KEYS[1], KEEP_MS)
return answer(0)
