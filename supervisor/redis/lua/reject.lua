-- An entry that never becomes a run. 1; 0: it is not there.
-- id      or ''
-- keep    ms
-- is_its  '1': the id is known to be this entry's; '2': nobody knows the entry, and it is written all the same
-- ends    '1': an end event
-- with: prelude entry

local kind, src, g, token, field, id, reason, keep, is_its, attempts, message, channel, log, ends = unpack(ARGV, 4)
keep = tonumber(keep)
if kind == 'list' and not redis.call('LPOS', P .. 'processing:' .. me, token) then return 0 end
if kind == 'stream' and #redis.call('XPENDING', src, g, token, token, 1) == 0
  and not there(kind, src, token, me) and is_its ~= '2' then return 0 end
to_dead(kind, src, g, token, field, id, attempts, reason, keep)
if id ~= '' then
  local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'entry', 'source')
  if is_its == '1' and (not h[1] or (h[2] == token and h[3] == src)) then
    redis.call('HSET', P .. 'job:' .. id, 'id', id, 'entry', token, 'source', src, 'kind', kind, 'group', g)
    if not h[1] then redis.call('ZADD', P .. 'index', int(now()), id) end
    job_dead(id, reason, attempts, keep, ends)
    tell(message, channel, log)
  end
end
return 1
