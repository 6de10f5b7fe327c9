-- Reads the state for status tables.
-- ARGV: 7 seconds after which a silent process is dead.
-- Returns calls in flight, seconds of pause left, share, and level, capacity and limit of each
-- dimension (0: no limit).
local found = {tostring(in_flight(tonumber(ARGV[7]))), text(math.max(0, paused - now)), text(share)}
for i = 1, 4 do
  if limit[i] then
    for _, value in ipairs({level[i], capacity[i], limit[i]}) do found[#found + 1] = text(value) end
  else found[#found + 1] = '0'; found[#found + 1] = '0'; found[#found + 1] = '0' end
end
return table.concat(found, ' ')
