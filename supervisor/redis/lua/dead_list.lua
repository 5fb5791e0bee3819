-- Letters, the newest first: {{letter, id, reason, attempts, node, source, bytes, the first 64 KiB of the payload, owner}...}
-- to    the newest that is wanted: '+', or '(' and the last one that was seen
-- most  of them
-- with: prelude

local to, most = unpack(ARGV, 4)
local out = {}
for _, e in ipairs(redis.call('XREVRANGE', P .. 'dead', to, '-', 'COUNT', most)) do
  local f = {}
  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
  local p, owner = f.payload or '', false
  if f.id and f.id ~= '' then
    local h = redis.call('HMGET', P .. 'job:' .. f.id, 'owner', 'state')
    owner = h[2] == 'dead' and h[1]
  end
  out[#out + 1] = {e[1], f.id or '', f.reason or '', f.attempts or '0', f.node or '', f.source or '', int(#p),
    string.sub(p, 1, 65536), owner or ''}
end
return out
