-- Forces a state, or closes the circuit.
-- ARGV: 8 "forced-open", "disabled" or "closed".
if ARGV[8] == 'closed' then close() else enter(ARGV[8]) end
save()
return answer(0)
