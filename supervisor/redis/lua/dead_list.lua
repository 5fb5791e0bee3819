-- Letters, the newest first: {{letter, id, reason, attempts, node, source, bytes, the first 64 KiB of the payload}...}
-- with: prelude

local most = unpack(ARGV, 4)
local out = {}
for _, e in ipairs(redis.call('XREVRANGE', P .. 'dead', '+', '-', 'COUNT', most)) do
  local f = {}
  for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
  local p = f.payload or ''
  out[#out + 1] = {e[1], f.id or '', f.reason or '', f.attempts or '0', f.node or '', f.source or '', int(#p),
    string.sub(p, 1, 65536)}
end
return out
