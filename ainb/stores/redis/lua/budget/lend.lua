-- Lends a process its share: money that it may use while it is cut off from the server. It is granted to no
-- other process before its owner has confirmed that it has a smaller share.
-- ARGV: 5 owner, 6 share that the owner was told last, and may be using, 7 limit.
-- GRANTED of the answer is the new share. Half of the money left is divided among the processes; a process
-- that is alone has all but 1/SHARE_AHEAD of it.
local owner, told, limit = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
if not redis.call('ZSCORE', KEYS[3], owner) or is_dead(owner) then return answer(0) end
local share = told
if not is_new() then
  local left = limit - spent() - aside()
  local peers = redis.call('ZCOUNT', KEYS[3], now - LIVE_SECONDS, '+inf')
  local part = left - math.floor(left / SHARE_AHEAD)
  if peers > 1 then part = math.floor(left / 2 / peers) end
  if tonumber(redis.call('HGET', KEYS[4], 'recall') or 0) > now then part = 0 end
  share = math.max(0, math.min(part, left - lent(owner)))
end
set_share(owner, math.max(told, share))
return answer(share)
