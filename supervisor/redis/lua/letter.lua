-- By its letter's entry or, failing that, the newest one of the job. nil, or the fields with `letter`.
local function letter(id)
  local function fields(e)
    local f = { letter = e[1] }
    for i = 1, #e[2], 2 do f[e[2][i]] = e[2][i + 1] end
    return f
  end
  if string.match(id, '^%d+%-%d+$') then
    local e = redis.call('XRANGE', P .. 'dead', id, id)
    if e[1] then return fields(e[1]) end
  end
  local to = '+'
  for _ = 1, 200 do
    local es = redis.call('XREVRANGE', P .. 'dead', to, '-', 'COUNT', 100)
    for _, e in ipairs(es) do
      local f = fields(e)
      if f.id == id then return f end
      to = '(' .. e[1]
    end
    if #es < 100 then return nil end
  end
end
