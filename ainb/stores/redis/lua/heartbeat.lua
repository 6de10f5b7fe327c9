-- Records a heartbeat of this process, unless it was declared dead: then its money was released, and it needs
-- a new name.
-- KEYS: 1 peers (sorted set by the time of the last heartbeat, or the negative time when it left), 2 name of the
-- data, 3 set while the data is new, 4 expected (set of processes that have not restored their reservations
-- after a loss of data), 5 set after a time in which the server received no heartbeat at all.
-- ARGV: 1 this process, 2 whether it is new, 3 seconds after which a silent process is dead,
-- 4 seconds after which it is forgotten, 5 a name for data without one, 6 milliseconds for which such data
-- counts as new, 7 the name known to this process if the server was restarted or replaced, else "": such a
-- server may have lost the last writes, so its data gets a new name, 8 name of the data known to this process
-- ("" for none), 9 its name before it was last renamed, 10... the peers it knew.
-- Returns "0" when the name is lost, else "1 DATA PEERS..."; another DATA means that all data was lost.
local t = redis.call('TIME'); local now = t[1] + t[2] / 1e6
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[2] == '0' and not known then return '0' end
-- If nobody was heard, the server was probably out of reach: nobody is dead before all had time to return.
local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if newest and tonumber(newest) > 0 and tonumber(newest) < now - GAP_SECONDS then
  redis.call('SET', KEYS[5], 1, 'PX', ARGV[3] * 1000)
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
local forgotten = now - tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], -forgotten, forgotten)
if ARGV[7] ~= '' and redis.call('GET', KEYS[2]) == ARGV[7] then redis.call('DEL', KEYS[2]) end
if redis.call('SET', KEYS[2], ARGV[5], 'NX') then redis.call('SET', KEYS[3], 1, 'PX', ARGV[6]) end
local data = redis.call('GET', KEYS[2])
if ARGV[8] == data then -- it has restored its reservations since its previous heartbeat
  redis.call('SREM', KEYS[4], ARGV[1], ARGV[9])
elseif ARGV[8] ~= '' then
  for i = 10, #ARGV do redis.call('SADD', KEYS[4], ARGV[i]) end
  if redis.call('PTTL', KEYS[4]) == -1 then redis.call('PEXPIRE', KEYS[4], ARGV[3] * 1000) end
end
local live = redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[3]), '+inf')
return '1 ' .. data .. ' ' .. table.concat(live, ' ')
