-- Restores the spent amount from the total that this process was told before the data was lost.
if epoch() == known_epoch and spent() - fresh() < known then
  redis.call('HSET', KEYS[1], day, whole(known + fresh()))
end
return answer(0)
