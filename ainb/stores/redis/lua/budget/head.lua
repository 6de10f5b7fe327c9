-- Shared budget: the part that every script of an account begins with. Money is in whole nanodollars.
-- KEYS: 1 spent (hash by account, and by "ACCOUNT|epoch"), 2 reserved (hash: "OWNER|pot" drawn and not sent,
-- "OWNER|SERIAL" sent, "here" always 0), 3 peers, 4 owners (hash: "OWNER" highest ratio of cost to estimate,
-- in millionths; "OWNER|SERIAL" amount booked for a call whose owner was declared dead), 5 name of the data,
-- 6 set while the data is new.
-- ARGV: 1 the account, 2 name of the data known to this process ("" for none), 3 epoch and 4 spent amount,
-- both as last received by this process; the rest by script.
-- Every script returns "GRANTED SPENT RESERVED EPOCH". If the name of the data differs, it changes nothing
-- and returns "lost".
local day, mark = ARGV[1], ARGV[1] .. '|epoch'
if ARGV[2] ~= '' and redis.call('GET', KEYS[5]) ~= ARGV[2] then return 'lost' end
local function aside()
  local sum, all = 0, redis.call('HVALS', KEYS[2])
  for _, amount in ipairs(all) do sum = sum + (tonumber(amount) or 0) end
  return sum
end
local function spent() return tonumber(redis.call('HGET', KEYS[1], day) or '') or 0 end
local function epoch() return tonumber(redis.call('HGET', KEYS[1], mark) or '') or 0 end
local function whole(x) return string.format('%.0f', x) end
local function open_account()
  redis.call('HSETNX', KEYS[1], day, 0)
  redis.call('HSETNX', KEYS[2], 'here', 0)
end
-- Both parts of an account are created together, so a missing one was lost. The data then counts as new, so
-- that other processes have time to report their balances.
local known_epoch, known = tonumber(ARGV[3]), tonumber(ARGV[4])
local has_spent, has_reserved = redis.call('HEXISTS', KEYS[1], day), redis.call('HEXISTS', KEYS[2], 'here')
if has_spent ~= has_reserved or (has_spent == 0 and known > 0) then
  open_account()
  redis.call('SET', KEYS[6], 1, 'PX', NEW_MS)
end
-- Within an epoch the spent amount only grows. An amount below the one known to this process was lost.
if epoch() < known_epoch or (epoch() == known_epoch and spent() < known) then
  redis.call('HSET', KEYS[1], day, whole(known), mark, known_epoch)
end
local function book(cost)
  open_account()
  redis.call('HINCRBY', KEYS[1], day, whole(cost))
  if cost < 0 then redis.call('HINCRBY', KEYS[1], mark, 1) end
  redis.call('PEXPIRE', KEYS[1], KEEP_MS)
end
local function answer(granted)
  return whole(granted) .. ' ' .. whole(spent()) .. ' ' .. whole(aside()) .. ' ' .. whole(epoch())
end
