-- Reads the account.
return answer(0)
