-- Reads the state without changing it.
return answer(0)
