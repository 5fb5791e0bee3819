-- {{name, version, slots, running, state, sources, ms ago, drain}...}
-- with: prelude

local out, t = {}, now()
for _, name in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
  local h = redis.call('HMGET', P .. 'node:' .. name, 'version', 'slots', 'running', 'state', 'sources', 'seen', 'drain')
  if h[6] then
    out[#out + 1] = {name, h[1] or '', h[2] or '0', h[3] or '0', h[4] or '', h[5] or '', int(t - tonumber(h[6])),
      h[7] or '0'}
  end
end
return out
