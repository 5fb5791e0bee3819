-- A job that can never run. keep: ms. 1; 0: it is not ours.
-- ends: '1': an end event; before it two arguments of give_back
-- with: prelude entry

local id, attempt, reason, keep, kind, src, g, token, field, message, channel, log, _, _, ends = unpack(ARGV, 4)
keep = tonumber(keep)
local h = redis.call('HMGET', P .. 'job:' .. id, 'state', 'attempt', 'failures')
if h[1] ~= 'running' or h[2] ~= attempt then return 0 end
to_dead(kind, src, g, token, field, id, attempt, reason, keep)
job_dead(id, reason, tonumber(h[3] or 0) + 1, keep, ends)
tell(message, channel, log)
return 1
