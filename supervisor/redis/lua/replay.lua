-- Back to where it came from; id: or letter. keep: ms. 1; 0: there is none; -1: the stream is full.
-- with: prelude letter

local id, most, keep = unpack(ARGV, 4)
local f = letter(id)
if not f then return 0 end
local entry = f.payload
if f.kind == 'stream' then
  if redis.call('XLEN', f.source) >= tonumber(most) then return -1 end
  if f.id ~= '' then entry = redis.call('XADD', f.source, '*', f.field, f.payload, 'id', f.id)
  else entry = redis.call('XADD', f.source, '*', f.field, f.payload) end
else
  redis.call('RPUSH', f.source, f.payload)
end
local jk = P .. 'job:' .. f.id
if f.id ~= '' and redis.call('HGET', jk, 'state') == 'dead' then
  redis.call('HSET', jk, 'state', 'waiting', 'failures', 0, 'entry', entry)
  redis.call('HDEL', jk, 'finished_ms', 'lacked')
  redis.call('DEL', P .. 'events:' .. f.id)
  redis.call('PEXPIRE', jk, keep)
end
redis.call('XDEL', P .. 'dead', f.letter)
return 1
