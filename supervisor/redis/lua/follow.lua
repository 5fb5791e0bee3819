-- Events of a job behind an entry: {state or '', {{entry, n, type, data}...}}.
-- with: prelude

local id, behind = unpack(ARGV, 4)
local out = {}
for _, e in ipairs(redis.call('XRANGE', P .. 'events:' .. id, '(' .. behind, '+', 'COUNT', 64)) do
  local f = {}
  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
  out[#out + 1] = {e[1], f.n or '0', f.type or '', f.data or ''}
end
return {redis.call('HGET', P .. 'job:' .. id, 'state') or '', out}
