-- Jobs that a node has read or was asked for, the newest first.
-- from, skip  behind these: the time that the last one came (TIME, ms), and how many of that time were seen; '+inf', 0
-- most        of them
-- state       '' any
-- has_owner   '1': of owner only
-- Answers {from, skip, {{id, job hash as in get}...}}: from '' when there are no more.
-- with: prelude

local from, skip, most, state, has_owner, owner = unpack(ARGV, 4)
local LOOKED_MAX = 2048 -- in one step: then the answer is short, and the next one goes on
local k, out, looked = P .. 'index', {}, 0
skip, most = tonumber(skip), tonumber(most)
while looked < LOOKED_MAX do
  local page = redis.call('ZREVRANGEBYSCORE', k, from, '-inf', 'WITHSCORES', 'LIMIT', skip, 64)
  for i = 1, #page, 2 do
    local id, score = page[i], page[i + 1]
    local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'owner', 'attempt', 'failures', 'queued_ms', 'not_before',
      'finished_ms', 'node', 'status', 'reason', 'ending', '', 'source', 'unstarted', 'priority')
    looked = looked + 1
    if not h[1] then
      redis.call('ZREM', k, id)
    else
      local fits = (state == '' or h[1] == state or (state == 'waiting' and h[1] == 'pending'))
        and (has_owner ~= '1' or h[2] == owner)
      if fits and #out == most then return {from, skip, out} end
      if fits then out[#out + 1] = {id, h} end
      if score == from then skip = skip + 1 else from, skip = score, 1 end
    end
  end
  if #page < 128 then return {'', 0, out} end
end
return {from, skip, out}
