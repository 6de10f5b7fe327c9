-- Sets what is spent to 0; reservations stay.
redis.call('HDEL', KEYS[1], day)
return answer(0)
