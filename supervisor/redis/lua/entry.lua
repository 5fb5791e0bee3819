-- An entry is (kind, source, group, token): kind 'stream' or 'list'; token is the id of a stream's entry, the payload of a
-- list's.

-- What was read ahead of a stream, for all nodes: owners take turns in it; of one owner the highest priority goes first, then
-- the oldest. Entries of equal priority stand in the order of their ids, written with zeros in front.
local function padded(token)
  local ms, n = string.match(token, '^(%d+)%-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #n) .. n
end
local function ahead_by(src, owner) return P .. 'ahead-by:' .. src .. '/' .. owner end
local function turn(src) return redis.call('ZADD', P .. 'ahead-turn:' .. src, 'INCR', 1, 't') end
local function is_ahead(src, token) return redis.call('HGET', P .. 'ahead-of:' .. src, token) end
local function put_ahead(src, token, owner, priority)
  if is_ahead(src, token) then return end
  redis.call('HSET', P .. 'ahead-of:' .. src, token, owner)
  redis.call('ZADD', P .. 'ahead:' .. src, 0, token)
  redis.call('ZADD', ahead_by(src, owner), int(-priority), padded(token))
  if not redis.call('ZSCORE', P .. 'ahead-owners:' .. src, owner) then
    redis.call('ZADD', P .. 'ahead-owners:' .. src, turn(src), owner)
  end
end
local function drop_ahead(src, token)
  local owner = is_ahead(src, token)
  if not owner then return end
  redis.call('HDEL', P .. 'ahead-of:' .. src, token)
  redis.call('ZREM', P .. 'ahead:' .. src, token)
  redis.call('ZREM', ahead_by(src, owner), padded(token))
  if redis.call('ZCARD', ahead_by(src, owner)) == 0 then redis.call('ZREM', P .. 'ahead-owners:' .. src, owner) end
end
-- Nothing is left of it.
local function ack(kind, src, group, token, node)
  redis.call('ZREM', P .. 'delayed:' .. src, token)
  if kind == 'stream' then drop_ahead(src, token) end
  if kind == 'stream' then
    redis.pcall('XACK', src, group, token)
    redis.pcall('XDEL', src, token)
  else
    redis.call('LREM', P .. 'processing:' .. node, 0, token)
  end
end
local function value(src, token, field)
  local e = redis.pcall('XRANGE', src, token, token)
  if e.err or not e[1] then return nil end
  local all = {}
  for i = 1, #e[1][2], 2 do
    if e[1][2][i] == field then return e[1][2][i + 1] end
    all[#all + 1] = e[1][2][i] .. '=' .. e[1][2][i + 1]
  end
  return table.concat(all, '\n')
end
-- Will somebody find it again?
local function there(kind, src, token, node)
  if not kind or not src or not token then return false end
  if kind == 'stream' then
    local e = redis.pcall('XRANGE', src, token, token)
    return not e.err and #e > 0
  end
  return redis.call('ZSCORE', P .. 'delayed:' .. src, token)
    or redis.call('LPOS', P .. 'processing:' .. (node or me), token)
    or redis.call('LPOS', P .. 'cubes', token) or redis.call('LPOS', src, token)
end
-- Entries whose time has come, n at most: not those that this node gave back because it lacks what they need, until
-- others have had the time to take them. A token may be long, so its hash stands for it.
local function lacking(src, token) return redis.sha1hex(src .. ' ' .. token) end
local function due_now(src, n)
  local lk, t, out, page = P .. 'lacking:' .. me, int(now()), {}, math.max(tonumber(n), 64)
  redis.call('ZREMRANGEBYSCORE', lk, '-inf', t)
  local none = redis.call('EXISTS', lk) == 0
  for i = 0, 63 do
    local ids = redis.call('ZRANGEBYSCORE', P .. 'delayed:' .. src, '-inf', t, 'LIMIT', i * page, page)
    for _, id in ipairs(ids) do
      if none or not redis.call('ZSCORE', lk, lacking(src, id)) then out[#out + 1] = id end
      if #out >= tonumber(n) then return out end
    end
    if #ids < page then break end
  end
  return out
end
local function park(kind, src, token, due)
  redis.call('ZADD', P .. 'delayed:' .. src, int(due), token)
  if kind == 'list' then redis.call('LREM', P .. 'processing:' .. me, 0, token) end
end
-- Words for those who only listen; the strings are finished messages, '' for none.
local function tell(message, channel, log)
  if message ~= '' then redis.pcall('PUBLISH', P .. 'events', message) end
  if channel ~= '' and log ~= '' then redis.pcall('PUBLISH', channel, log) end
end
local function to_dead(kind, src, group, token, field, id, attempts, reason, keep)
  local payload = token
  if kind == 'stream' then payload = value(src, token, field) or '' end
  redis.call('XADD', P .. 'dead', 'MINID', '~', int(math.max(0, now() - keep)), '*', 'id', id, 'payload', payload,
    'reason', reason, 'attempts', attempts, 'node', me, 'kind', kind, 'source', src, 'group', group, 'field', field)
  ack(kind, src, group, token, me)
end
local function put_end(id, status, keep)
  local ek = P .. 'events:' .. id
  redis.call('XADD', ek, '*', 'n', '0', 'type', 'end', 'data', status)
  redis.call('PEXPIRE', ek, keep)
end
-- ends: '1': who reads its events is told; they stay as long as the letter
local function job_dead(id, reason, failures, keep, ends)
  local jk = P .. 'job:' .. id
  redis.call('HSET', jk, 'state', 'dead', 'reason', reason, 'failures', failures, 'finished_ms', int(now()))
  redis.call('HDEL', jk, 'lease_until', 'not_before', 'ending')
  redis.call('PEXPIRE', jk, int(keep))
  redis.call('SREM', P .. 'running:' .. me, id)
  if ends == '1' then put_end(id, 'dead', int(keep)) end
end
-- How long what came of a job is kept: as its own word has it, never longer than the node does.
local function stays_for(id, keep)
  local asked = tonumber(redis.call('HGET', P .. 'job:' .. id, 'retention') or 0) or 0
  keep = tonumber(keep)
  return int(asked > 0 and asked < keep and asked or keep)
end
-- The fields of a result, from argument number `from` on: their count, then name and value of each.
local function put_result(id, from, keep)
  local rk = P .. 'result:' .. id
  local a = {}
  for i = from + 1, from + 2 * tonumber(ARGV[from]) do a[#a + 1] = ARGV[i] end
  redis.call('HSET', rk, unpack(a))
  redis.call('PEXPIRE', rk, keep)
end
