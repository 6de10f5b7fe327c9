-- Shared budget: the part that every script of an account begins with. Money is in whole nanodollars.
-- KEYS: 1 spent (hash by account, by "ACCOUNT|epoch", and by "ACCOUNT|DATA|fresh" what was booked while the data
-- was new), 2 reserved (hash: "OWNER|pot" drawn and not sent, "OWNER|SERIAL" sent, "here" always 0), 3 peers,
-- 4 owners (hash: "OWNER" highest ratio of cost to estimate, in millionths; "OWNER|SERIAL" amount booked for a
-- call whose owner was declared dead; "OWNER|share" money that the owner may use while it is cut off, and when
-- it was last heard; "recall" second until which nobody is lent a share), 5 name of the data, 6 set while the
-- data is new, 7 and 8 see heartbeat.lua.
-- ARGV: 1 the account, 2 name of the data known to this process ("" for none), 3 epoch and 4 spent amount,
-- both as last received by this process; the rest by script.
-- Every script returns "GRANTED SPENT RESERVED EPOCH". If the name of the data differs, it changes nothing
-- and returns "lost".
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
local day, mark = ARGV[1], ARGV[1] .. '|epoch'
if ARGV[2] ~= '' and redis.call('GET', KEYS[5]) ~= ARGV[2] then return 'lost' end
local function aside()
  local sum, all = 0, redis.call('HVALS', KEYS[2])
  for _, amount in ipairs(all) do sum = sum + (tonumber(amount) or 0) end
  return sum
end
local function spent() return tonumber(redis.call('HGET', KEYS[1], day) or '') or 0 end
local function epoch() return tonumber(redis.call('HGET', KEYS[1], mark) or '') or 0 end
-- While the data is new, or a process is expected to restore its reservations, nobody is given money.
local function is_new() return redis.call('EXISTS', KEYS[6], KEYS[7]) > 0 end
-- Totals from before a loss do not contain what was booked after it, so this is kept apart and added to them.
local fresh_field = day .. '|' .. (redis.call('GET', KEYS[5]) or '') .. '|fresh'
local function fresh() return tonumber(redis.call('HGET', KEYS[1], fresh_field) or '') or 0 end
local function whole(x) return string.format('%.0f', x) end
local function open_account()
  redis.call('HSETNX', KEYS[1], day, 0)
  redis.call('HSETNX', KEYS[2], 'here', 0)
end
-- Both parts of an account are created together, so a missing one was lost. The data then counts as new and
-- gets another name at the next heartbeat, so that every process restores its balance.
local known_epoch, known = tonumber(ARGV[3]), tonumber(ARGV[4])
local has_spent, has_reserved = redis.call('HEXISTS', KEYS[1], day), redis.call('HEXISTS', KEYS[2], 'here')
if has_spent ~= has_reserved or (has_spent == 0 and known > 0) then
  open_account()
  if not is_new() then redis.call('DEL', KEYS[5]) end
  redis.call('SET', KEYS[6], 1, 'PX', NEW_MS)
end
-- Within an epoch the spent amount only grows. An amount below the one known to this process was lost.
if epoch() < known_epoch or (epoch() == known_epoch and spent() < known) then
  redis.call('HSET', KEYS[1], day, whole(known + fresh()), mark, known_epoch)
end
local function book(cost)
  open_account()
  redis.call('HINCRBY', KEYS[1], day, whole(cost))
  if is_new() then redis.call('HINCRBY', KEYS[1], fresh_field, whole(cost)) end
  if cost < 0 then redis.call('HINCRBY', KEYS[1], mark, 1) end
  redis.call('PEXPIRE', KEYS[1], KEEP_MS)
end
-- A process is dead if it left, or was silent for so long while the server was in reach; an unknown one is not.
local function was_reached() return redis.call('EXISTS', KEYS[8]) == 0 end
local function is_dead(name)
  local heartbeat = redis.call('ZSCORE', KEYS[3], name)
  heartbeat = tonumber(heartbeat or now)
  return heartbeat < 0 or heartbeat < now - LIVE_SECONDS and was_reached()
end
local function share_of(owner)
  return tonumber(string.match(redis.call('HGET', KEYS[4], owner .. '|share') or '', '^(%d+) ')) or 0
end
local function set_share(owner, amount)
  if amount > 0 then
    redis.call('HSET', KEYS[4], owner .. '|share', whole(amount) .. ' ' .. now)
    redis.call('PEXPIRE', KEYS[4], KEEP_MS)
  else
    redis.call('HDEL', KEYS[4], owner .. '|share')
  end
end
-- Shares of the other processes. Whoever has a share may be spending it unheard, so it is kept longer than
-- other money.
local function lent(owner)
  local sum, all = 0, redis.call('HGETALL', KEYS[4])
  for i = 1, #all, 2 do
    local name = string.match(all[i], '^(.*)|share$')
    if name and name ~= owner then
      local amount, heard = string.match(all[i + 1], '^(%d+) ([%d.]+)$')
      if amount and (tonumber(heard) >= now - SHARE_SECONDS or not was_reached()) then sum = sum + amount
      else redis.call('HDEL', KEYS[4], all[i]) end
    end
  end
  return sum
end
local function answer(granted)
  return whole(granted) .. ' ' .. whole(spent()) .. ' ' .. whole(aside()) .. ' ' .. whole(epoch())
end
