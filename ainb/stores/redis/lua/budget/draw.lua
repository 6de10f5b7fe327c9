-- Draws money for the calls of one process.
-- ARGV: 5 owner, 6 amount needed, 7 amount wanted, 8 limit, 9 money that the server should already hold for
-- this owner.
-- Grants -1 if the owner itself counts as dead (it must take another name first). Grants 0 if the money held
-- for it was lost, or while the data is new, since other processes may not have reported their balances yet.
-- Money of other processes' shares is not granted; if it is needed, they are called back. What is granted is
-- taken from the owner's share first.
local owner, need, want, limit = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
if not redis.call('ZSCORE', KEYS[3], owner) then return answer(-1) end
if is_new() or aside() < tonumber(ARGV[9]) then return answer(0) end
if is_dead(owner) then return answer(-1) end
open_account()
-- Presumed cost of a dead owner's call. A job's reservation counts in full, since the job runs on.
local function presumed(name, serial, amount)
  if string.match(serial, '^job') then return amount end
  local worst = tonumber(redis.call('HGET', KEYS[4], name) or MILLION)
  return math.min(amount, math.ceil(amount * HEADROOM * worst / MILLION))
end
local function release_dead()
  local gone = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    local name, serial = string.match(field, '^(.*)|(%w+)$')
    if name and not redis.call('ZSCORE', KEYS[3], name) then
      -- perhaps only the list of peers was lost: wait for a heartbeat
      redis.call('ZADD', KEYS[3], now - LIVE_SECONDS + NEW_MS / 1000, name)
    elseif name and is_dead(name) then
      if serial ~= 'pot' then
        local counted = presumed(name, serial, tonumber(redis.call('HGET', KEYS[2], field)))
        book(counted)
        redis.call('HSET', KEYS[4], field, whole(counted))
      end
      redis.call('HDEL', KEYS[2], field)
      gone[name] = true
    end
  end
  for name in pairs(gone) do
    redis.call('ZREM', KEYS[3], name)
    redis.call('HDEL', KEYS[4], name)
  end
  redis.call('PEXPIRE', KEYS[4], KEEP_MS)
end
local function free() return limit - spent() - aside() - lent(owner) end
if need > free() and spent() + need <= limit then release_dead() end
if need > free() and spent() + aside() + need <= limit then
  redis.call('HSET', KEYS[4], 'recall', now + RECALL_SECONDS)
end
local granted = 0
if need <= free() then granted = math.max(need, math.min(want, math.floor(free() / SHARE_AHEAD))) end
if granted > 0 then
  redis.call('HINCRBY', KEYS[2], owner .. '|pot', whole(granted))
  redis.call('PEXPIRE', KEYS[2], KEEP_MS)
  local share = share_of(owner)
  if share > 0 then set_share(owner, share - granted) end
end
return answer(granted)
