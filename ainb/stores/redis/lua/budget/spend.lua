-- Books a cost without a reservation.
-- ARGV: 5 owner, 6 unused, 7 cost.
book(tonumber(ARGV[7]))
return answer(0)
