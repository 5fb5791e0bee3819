-- A letter goes; id: or letter. 1; 0.
-- with: prelude letter

local id = unpack(ARGV, 4)
local f = letter(id)
if not f then return 0 end
redis.call('XDEL', P .. 'dead', f.letter)
if f.id ~= '' and redis.call('HGET', P .. 'job:' .. f.id, 'state') == 'dead' then redis.call('DEL', P .. 'job:' .. f.id) end
return 1
