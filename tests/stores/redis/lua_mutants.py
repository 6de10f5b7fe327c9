"""Seeded mutants of the Lua: each is one plausible mistake that the random schedules must notice."""

from __future__ import annotations

from tests.stores.redis.lua_lab import LuaMutant

LIMITER = [
    LuaMutant("math.min(tonumber(seen[1]) or now, now)", "now", "nothing flows back"),
    LuaMutant(
        "level[i] = math.min(capacity[i], (tonumber(seen[3 + i]) or capacity[i])",
        "level[i] = math.max(0, (tonumber(seen[3 + i]) or capacity[i])",
        "a bucket is never full",
    ),
    LuaMutant("l - capacity[i] or l)", "l or l)", "strict refills as fast as any"),
    LuaMutant("if e[2] < now then", "if false then", "who never comes back keeps its place"),
    LuaMutant("if e[1] < before then", "if false then", "the line is jumped"),
    LuaMutant("ARGV[11] == '1' and mine or math.huge", "math.huge", "the first waits for those behind it"),
    LuaMutant("if paused > now then", "if false then", "a pause is not kept"),
    LuaMutant(
        "in_flight(tonumber(ARGV[14])) >= slots", "in_flight(tonumber(ARGV[14])) > slots", "a slot more"
    ),
    LuaMutant("redis.call('HINCRBY', KEYS[3], ARGV[1], 1)", "", "calls in flight are not counted"),
    LuaMutant("heartbeat and tonumber(heartbeat) > now - seconds", "heartbeat", "the dead keep their slots"),
    LuaMutant(
        "level[i] - tonumber(ARGV[6 + i]) end end\n  save()", "level[i] end end\n  save()", "nothing is taken"
    ),
    LuaMutant(
        "math.min(capacity[i], level[i] + tonumber(ARGV[6 + i]))", "level[i]", "what was not used is lost"
    ),
    LuaMutant("math.min(level[i], 0)", "level[i]", "a 429 drains nothing"),
    LuaMutant("tonumber(ARGV[7]) >= slowed and ", "", "an old call slows down again"),
    LuaMutant("if share < 1 then", "if false then", "a share never grows again"),
    LuaMutant("math.max(paused, now + tonumber(ARGV[8]))", "now + tonumber(ARGV[8])", "a pause is cut short"),
    LuaMutant(
        "if left and limit[i] then level[i] = math.min(level[i], left)",
        "if left and limit[i] then level[i] = left",
        "what remains fills the bucket",
    ),
]
MONEY = [
    LuaMutant("if need <= free then granted", "if need <= limit then granted", "what is set aside is free"),
    LuaMutant("math.min(want, math.floor(free / SHARE_AHEAD))", "want", "drawn ahead past the limit"),
    LuaMutant("math.floor(free / SHARE_AHEAD)", "free", "drawn ahead up to the limit"),
    LuaMutant("'|pot', whole(granted))", "'|pot', 0)", "a grant is not set aside"),
    LuaMutant("release_dead(); free = limit - spent() - aside() end", "end", "the dead keep their money"),
    LuaMutant("tonumber(heartbeat) < now - tonumber(ARGV[9])", "false", "the silent are alive"),
    LuaMutant("if serial ~= 'pot' then", "if false then", "what the dead had sent is free"),
    LuaMutant("if serial ~= 'pot' then", "if true then", "what the dead had at hand is spent"),
    LuaMutant("HEADROOM * worst", "worst", "what the dead had sent counts by the plain share"),
    LuaMutant("return math.min(amount, ", "return math.max(amount, ", "the dead's shares do not count"),
    LuaMutant("if string.match(serial, '^job') then", "if false then", "jobs count by the shares of calls"),
    LuaMutant("redis.call('HSET', KEYS[4], field, whole(counted))", "", "who seemed dead pays nothing more"),
    LuaMutant("redis.call('HDEL', KEYS[4], field); book", "book", "a difference is booked twice"),
    LuaMutant("book(cost - tonumber(counted))", "book(cost)", "who seemed dead pays twice"),
    LuaMutant("if ARGV[8] ~= '' then", "if false then", "shares are not kept"),
    LuaMutant("if pot >= tonumber(amount) then", "if false then", "what is sent is set aside twice"),
    LuaMutant("ARGV[6], amount) == 1 then", "ARGV[6], amount) >= 0 then", "a report told twice counts anew"),
    LuaMutant(
        "KEYS[2], field) == 1 then book", "KEYS[2], field) >= 0 then book", "settled twice, spent twice"
    ),
    LuaMutant("math.min(pot, tonumber(ARGV[6]))", "pot", "everything goes back"),
    LuaMutant("if not redis.call('ZSCORE', KEYS[3], owner) then", "if false then", "the dead draw on"),
    LuaMutant(
        "redis.call('EXISTS', KEYS[6]) == 1 or ", "", "money is drawn before all have said what they know"
    ),
    LuaMutant("if has_spent ~= has_reserved or", "if", "a part of an account that is gone is not missed"),
    LuaMutant("or (has_spent == 0 and known > 0) then", "then", "an account that is gone is not missed"),
    LuaMutant("or aside() < tonumber(ARGV[10]) then", "then", "money is drawn though reservations were lost"),
    LuaMutant(
        "if epoch() < known_epoch or (epoch() == known_epoch and spent() < known) then",
        "if false then",
        "what was lost is free",
    ),
    LuaMutant("epoch() == known_epoch and spent() < known", "spent() < known", "nothing ever becomes less"),
    LuaMutant(
        "and redis.call('GET', KEYS[5]) ~= ARGV[2] then",
        "and false then",
        "another database is taken for this",
    ),
    LuaMutant("redis.call('HSET', KEYS[1], day, 0)\nredis", "redis", "a reset resets nothing"),
    LuaMutant(
        "redis.call('HINCRBY', KEYS[1], mark, 1)\nredis", "redis", "a reset is undone by who was told before"
    ),
    LuaMutant(
        "pot - math.min(pot, tonumber(ARGV[6]))", "pot - math.max(pot, tonumber(ARGV[6]))", "all goes back"
    ),
    LuaMutant("if need <= free then", "if need < free then", "the last of it is never granted"),
    LuaMutant("and spent() + need <= limit then", "and spent() + need < limit then", "nor that of the dead"),
    LuaMutant("+ NEW_MS / 1000, name)", "- 1, name)", "who is not in the list is dead"),
    LuaMutant("    redis.call('ZREM', KEYS[3], name)\n", "", "the dead stay peers"),
    LuaMutant("  redis.call('PEXPIRE', KEYS[1], KEEP_MS)\nend", "end", "what is spent is kept for ever"),
    LuaMutant(
        "'|pot', whole(granted))\n  redis.call('PEXPIRE', KEYS[2], KEEP_MS)",
        "'|pot', whole(granted))",
        "so are drawings",
    ),
    LuaMutant("owner, ARGV[8])\n  redis.call('PEXPIRE', KEYS[4], KEEP_MS)", "owner, ARGV[8])", "and shares"),
    LuaMutant("if cost < 0 then", "if false then", "what came back is taken for lost"),
]
CIRCUIT = [
    LuaMutant(
        "redis.call('SET', KEYS[2] .. ':' .. i, number, 'NX', 'PX'",
        "redis.call('SET', KEYS[2] .. ':' .. i, number, 'PX'",
        "probes share a slot",
    ),
    LuaMutant("if successes + probes_out() >=", "if probes_out() >", "a probe more"),
    LuaMutant(
        "== ARGV[10] then redis.call('DEL'",
        "then redis.call('DEL'",
        "a late probe gives back another one's slot",
    ),
    LuaMutant("if now < open_until then return answer(0) end", "", "an open circuit lets everybody in"),
    LuaMutant("if state == 'forced-open' then return answer(0) end", "", "forced open lets probes in"),
    LuaMutant("tonumber(place) <= index -", "tonumber(place) < index -", "a window one bucket longer"),
    LuaMutant("calls >= tonumber(ARGV[2]) and ", "", "opens on the first failure"),
    LuaMutant(
        "failures >= tonumber(ARGV[3]) * calls",
        "failures > tonumber(ARGV[3]) * calls",
        "opens above the rate, not at it",
    ),
    LuaMutant("and given == generation then", "then", "an older state's outcome counts"),
    LuaMutant("and given >= probing then", "then", "what was let through before closes it"),
    LuaMutant("enter('closed'); forget();", "enter('closed');", "closing forgets nothing"),
    LuaMutant(
        "math.min(tonumber(ARGV[5]), 2 * next_open)", "next_open", "it opens for no longer the second time"
    ),
    LuaMutant("next_open = tonumber(ARGV[4])\nend", "end", "it remembers how long it was open before"),
    LuaMutant(
        "if failed == '1' then open(); save()",
        "if failed == '1' then save()",
        "a failed probe changes nothing",
    ),
]
