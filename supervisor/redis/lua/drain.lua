-- A node takes no new work (is_on '1') or does again ('0'). 1; 0: there is none.
-- with: prelude

local name, is_on = unpack(ARGV, 4)
local k = P .. 'node:' .. name
if redis.call('EXISTS', k) == 0 then return 0 end
redis.call('HSET', k, 'drain', is_on)
return 1
