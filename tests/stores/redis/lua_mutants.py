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
    LuaMutant(
        "elseif taken + need <= limit then",
        "elseif spent() + need <= limit then",
        "what is set aside is free",
    ),
    LuaMutant(
        "if taken + want <= limit / 2 then", "if taken + want <= limit * 2 then", "drawn ahead past the limit"
    ),
    LuaMutant("'|pot', whole(granted))", "'|pot', 0)", "a grant is not set aside"),
    LuaMutant("release_dead(); taken = spent() + aside() end", "end", "the dead keep their money"),
    LuaMutant("if kind ~= 'pot' then", "if false then", "what the dead had sent is free"),
    LuaMutant("if kind ~= 'pot' then", "if true then", "what the dead had at hand is spent"),
    LuaMutant("if pot >= tonumber(ARGV[4]) then", "if false then", "what is sent is set aside twice"),
    LuaMutant(
        "ARGV[3], ARGV[4]) == 1 then",
        "ARGV[3], ARGV[4]) >= 0 then",
        "a report told twice counts anew",
    ),
    LuaMutant(
        "ARGV[3]) == 1 then\n  redis.call('HINCRBY'",
        "ARGV[3]) >= 0 then\n  redis.call('HINCRBY'",
        "settled twice, spent twice",
    ),
    LuaMutant("math.min(pot, tonumber(ARGV[3]))", "pot", "everything goes back"),
    LuaMutant("if spent() < tonumber(ARGV[3]) then", "if true then", "who comes back lowers what is spent"),
    LuaMutant("if not redis.call('ZSCORE', KEYS[3], ARGV[2]) then", "if false then", "the dead draw on"),
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
