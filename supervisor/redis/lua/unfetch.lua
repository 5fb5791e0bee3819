-- A payload that was fetched and not begun: back to where it came from.
-- with: prelude

local src, payload = unpack(ARGV, 4)
if redis.call('LREM', P .. 'processing:' .. me, -1, payload) > 0 then redis.call('LPUSH', src, payload) end
return 1
