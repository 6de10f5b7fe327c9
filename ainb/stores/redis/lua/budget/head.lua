-- Shared budget: the part that every script of an account begins with. Money is in whole nanodollars.
-- KEYS: 1 spent (hash by account), 2 reserved (hash: "OWNER|pot" drawn and not sent, "OWNER|SERIAL" sent),
-- 3 peers.
-- ARGV: 1 the account; the rest by script.
-- Every script returns "GRANTED SPENT RESERVED".
local day = ARGV[1]
local function aside()
  local sum, all = 0, redis.call('HVALS', KEYS[2])
  for _, amount in ipairs(all) do sum = sum + tonumber(amount) end
  return sum
end
local function spent() return tonumber(redis.call('HGET', KEYS[1], day) or '0') end
local function whole(x) return string.format('%.0f', x) end
local function answer(granted) return whole(granted) .. ' ' .. whole(spent()) .. ' ' .. whole(aside()) end
