"""Mutants of the Lua scripts: each is one plausible mistake that the random schedules must detect."""

from __future__ import annotations

from tests.stores.redis.lua_lab import LuaMutant

LIMITER = [
    LuaMutant("math.min(tonumber(seen[1]) or now, now)", "now", "buckets are not refilled"),
    LuaMutant(
        "level[i] = math.min(capacity[i], (tonumber(seen[3 + i]) or capacity[i])",
        "level[i] = math.max(0, (tonumber(seen[3 + i]) or capacity[i])",
        "a bucket is never full",
    ),
    LuaMutant("l - capacity[i] or l)", "l or l)", "strict mode does not reduce the refill rate"),
    LuaMutant("if e[2] < now then", "if false then", "an expired waiter keeps its place"),
    LuaMutant("if e[1] < before then", "if false then", "waiters ahead are ignored"),
    LuaMutant("ARGV[11] == '1' and mine or math.huge", "math.huge", "the head waits for those behind it"),
    LuaMutant("if paused > now then", "if false then", "a pause is ignored"),
    LuaMutant(
        "in_flight(tonumber(ARGV[14])) >= slots", "in_flight(tonumber(ARGV[14])) > slots", "one slot too many"
    ),
    LuaMutant("redis.call('HINCRBY', KEYS[3], ARGV[1], 1)", "", "calls in flight are not counted"),
    LuaMutant(
        "heartbeat and tonumber(heartbeat) > now - seconds", "heartbeat", "dead processes keep their slots"
    ),
    LuaMutant(
        "level[i] - tonumber(ARGV[6 + i]) end end\n  save()",
        "level[i] end end\n  save()",
        "permits take no tokens",
    ),
    LuaMutant(
        "math.min(capacity[i], level[i] + tonumber(ARGV[6 + i]))",
        "level[i]",
        "unused tokens are not returned",
    ),
    LuaMutant("math.min(level[i], 0)", "level[i]", "a 429 does not drain the bucket"),
    LuaMutant(
        "tonumber(ARGV[7]) >= slowed and ", "", "a call from before the last slowdown slows down again"
    ),
    LuaMutant("if share < 1 then", "if false then", "a share never grows back"),
    LuaMutant("math.max(paused, now + tonumber(ARGV[8]))", "now + tonumber(ARGV[8])", "a pause is cut short"),
    LuaMutant(
        "if left and limit[i] then level[i] = math.min(level[i], left)",
        "if left and limit[i] then level[i] = left",
        "a remaining header raises the level",
    ),
]
MONEY = [
    LuaMutant("if need <= free() then granted", "if need <= limit then granted", "reserved money is ignored"),
    LuaMutant("math.min(want, math.floor(free() / SHARE_AHEAD))", "want", "advance draws exceed the limit"),
    LuaMutant("math.floor(free() / SHARE_AHEAD)", "free()", "advance draws take all free money"),
    LuaMutant("'|pot', whole(granted))", "'|pot', 0)", "a grant is not reserved"),
    LuaMutant("release_dead() end", "end", "dead processes keep their money"),
    LuaMutant(
        "heartbeat < now - LIVE_SECONDS",
        "false",
        "a process without heartbeat counts as alive",
    ),
    LuaMutant("if serial ~= 'pot' then", "if false then", "sent calls of dead processes are released"),
    LuaMutant("if serial ~= 'pot' then", "if true then", "drawn money of dead processes counts as spent"),
    LuaMutant("HEADROOM * worst", "worst", "sent calls of dead processes count without headroom"),
    LuaMutant("return math.min(amount, ", "return math.max(amount, ", "shares of dead processes are ignored"),
    LuaMutant("if string.match(serial, '^job') then", "if false then", "jobs count by the shares of calls"),
    LuaMutant(
        "redis.call('HSET', KEYS[4], field, whole(counted))",
        "",
        "late settlements after a death are not booked",
    ),
    LuaMutant("redis.call('HDEL', KEYS[4], field); book", "book", "a late settlement is booked twice"),
    LuaMutant("book(cost - tonumber(counted))", "book(cost)", "a late settlement is booked in full"),
    LuaMutant("if ARGV[8] ~= '' then", "if false then", "shares are not stored"),
    LuaMutant("if pot >= tonumber(amount) then", "if false then", "a sent call is reserved twice"),
    LuaMutant("ARGV[6], amount) == 1 then", "ARGV[6], amount) >= 0 then", "a repeated report counts again"),
    LuaMutant(
        "KEYS[2], field) == 1 then book",
        "KEYS[2], field) >= 0 then book",
        "a repeated settlement counts again",
    ),
    LuaMutant("math.min(pot, tonumber(ARGV[6]))", "pot", "a return gives back all drawn money"),
    LuaMutant(
        "if not redis.call('ZSCORE', KEYS[3], owner) then", "if false then", "dead processes draw money"
    ),
    LuaMutant("is_new() or ", "", "money is granted before all processes have reported"),
    LuaMutant("if has_spent ~= has_reserved or", "if", "the loss of a part of an account is not noticed"),
    LuaMutant("or (has_spent == 0 and known > 0) then", "then", "the loss of an account is not noticed"),
    LuaMutant("or aside() < tonumber(ARGV[9]) then", "then", "money is granted after a loss of reservations"),
    LuaMutant(
        "if epoch() < known_epoch or (epoch() == known_epoch and spent() < known) then",
        "if false then",
        "lost costs are not restored",
    ),
    LuaMutant(
        "epoch() == known_epoch and spent() < known",
        "spent() < known",
        "a reset by another process is taken for a loss",
    ),
    LuaMutant(
        "and redis.call('GET', KEYS[5]) ~= ARGV[2] then",
        "and false then",
        "another database is accepted",
    ),
    LuaMutant("redis.call('HSET', KEYS[1], day, 0)\nredis", "redis", "a reset does not clear costs"),
    LuaMutant(
        "redis.call('HINCRBY', KEYS[1], mark, 1)\nredis", "redis", "a reset is undone by earlier replies"
    ),
    LuaMutant(
        "pot - math.min(pot, tonumber(ARGV[6]))",
        "pot - math.max(pot, tonumber(ARGV[6]))",
        "a return subtracts the larger amount",
    ),
    LuaMutant("if need <= free() then", "if need < free() then", "the last free money is never granted"),
    LuaMutant(
        "and spent() + need <= limit then",
        "and spent() + need < limit then",
        "the last money of dead processes is never granted",
    ),
    LuaMutant("+ NEW_MS / 1000, name)", "- 1, name)", "a process that is missing in the list counts as dead"),
    LuaMutant("    redis.call('ZREM', KEYS[3], name)\n", "", "dead processes stay peers"),
    LuaMutant("  redis.call('PEXPIRE', KEYS[1], KEEP_MS)\nend", "end", "costs never expire"),
    LuaMutant(
        "'|pot', whole(granted))\n  redis.call('PEXPIRE', KEYS[2], KEEP_MS)",
        "'|pot', whole(granted))",
        "reservations never expire",
    ),
    LuaMutant(
        "owner, ARGV[8])\n  redis.call('PEXPIRE', KEYS[4], KEEP_MS)", "owner, ARGV[8])", "shares never expire"
    ),
    LuaMutant("if cost < 0 then", "if false then", "a negative cost is taken for a loss"),
    LuaMutant("- aside() - lent(owner) end", "- aside() end", "shares of other processes are granted"),
    LuaMutant(
        "set_share(owner, share - granted)", "set_share(owner, share)", "a draw is not taken from the share"
    ),
    LuaMutant("now + RECALL_SECONDS", "now", "shares are not called back"),
    LuaMutant("math.max(told, share)", "share", "a share is granted while its owner may use it"),
    LuaMutant("if peers > 1 then", "if false then", "every process gets the whole share"),
    LuaMutant("left - lent(owner)", "left", "shares together exceed the money left"),
    LuaMutant(
        "if not is_new() then\n  local", "if true then\n  local", "a share grows while the data is new"
    ),
    LuaMutant("now - SHARE_SECONDS", "now - LIVE_SECONDS", "a share is granted as early as drawn money"),
    LuaMutant(
        "if amount and (tonumber(heard) >= now - SHARE_SECONDS or not was_reached())",
        "if amount",
        "shares of dead processes are kept forever",
    ),
    LuaMutant("or not was_reached())", ")", "a share is released after an outage of the server"),
    LuaMutant("set_share(ARGV[5], tonumber(ARGV[7]))", "", "a used share stays reserved"),
    LuaMutant("if is_dead(owner) then return answer(-1) end", "", "a silent process draws money"),
    LuaMutant("'EXISTS', KEYS[6], KEYS[7]", "'EXISTS', KEYS[6]", "nobody waits for expected processes"),
    LuaMutant("if is_new() then redis", "if false then redis", "costs after a loss vanish in a higher total"),
    LuaMutant("whole(known + fresh()), mark", "whole(known), mark", "costs after a loss vanish in a total"),
    LuaMutant("spent() - fresh() < known then", "spent() < known then", "an almost equal total is ignored"),
    LuaMutant("if epoch() == known_epoch and spent() - fresh()", "if spent() - fresh()", "a reset is undone"),
    LuaMutant("(redis.call('GET', KEYS[5]) or '')", "''", "costs of an earlier loss count again"),
]
CIRCUIT = [
    LuaMutant(
        "redis.call('SET', KEYS[2] .. ':' .. i, number, 'NX', 'PX'",
        "redis.call('SET', KEYS[2] .. ':' .. i, number, 'PX'",
        "probes share a slot",
    ),
    LuaMutant("if successes + probes_out() >=", "if probes_out() >", "one probe too many"),
    LuaMutant(
        "== ARGV[10] then redis.call('DEL'",
        "then redis.call('DEL'",
        "a late probe returns the slot of another probe",
    ),
    LuaMutant("if now < open_until then return answer(0) end", "", "an open circuit passes all calls"),
    LuaMutant(
        "if state == 'forced-open' then return answer(0) end", "", "a forced-open circuit passes probes"
    ),
    LuaMutant("tonumber(place) <= index -", "tonumber(place) < index -", "a window one bucket longer"),
    LuaMutant("calls >= tonumber(ARGV[2]) and ", "", "opens on the first failure"),
    LuaMutant(
        "failures >= tonumber(ARGV[3]) * calls",
        "failures > tonumber(ARGV[3]) * calls",
        "opens above the rate, not at it",
    ),
    LuaMutant("and given == generation then", "then", "an outcome from an older state counts"),
    LuaMutant("and given >= probing then", "then", "successes from before the probes close the circuit"),
    LuaMutant("enter('closed'); forget();", "enter('closed');", "closing does not clear the window"),
    LuaMutant("math.min(tonumber(ARGV[5]), 2 * next_open)", "next_open", "the open time does not double"),
    LuaMutant("next_open = tonumber(ARGV[4])\nend", "end", "closing does not reset the open time"),
    LuaMutant(
        "if failed == '1' then open(); save()",
        "if failed == '1' then save()",
        "a failed probe does not open the circuit",
    ),
]
