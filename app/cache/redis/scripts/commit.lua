-- ARGV: layout, era, number of projects, and of each project: name, the edition it was planned
-- upon ('' where it was not known), the serial it wants (0: that of its change), the change and
-- the line (both cut in two, where their serial goes), the summary to search in, 1 where it is to
-- be dropped, numbers of fields to drop and to put, those fields. KEYS[6…]: the projects.
-- Returns for each the serial it has now, or 0 where it changed meanwhile.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end

local place = 3
local function take()
  place = place + 1
  return ARGV[place]
end

local function put(key, first, last)
  for start = first, last, 1000 do
    redis.call('HSET', key, unpack(ARGV, start, math.min(start + 999, last)))
  end
end

local serial = tonumber(redis.call('HGET', root, 'serial') or '0')
local results = {'ok'}
for number = 1, tonumber(ARGV[3]) do
  local key = KEYS[5 + number]
  local name, edition, wanted = take(), take(), tonumber(take())
  local change_before, change_after = take(), take()
  local line_before, line_after, summary = take(), take(), take()
  local dropped, drops, puts = take() == '1', tonumber(take()), tonumber(take())
  local first = place + 1
  place = place + drops + 2 * puts
  if (redis.call('HGET', key, 'edition') or '') ~= edition then
    results[number + 1] = 0
  else
    serial = math.max(serial, wanted) + 1
    give(serial, change_before, change_after)
    local mine = whole_number(wanted > 0 and wanted or serial)
    if dropped then
      redis.call('UNLINK', key)
      redis.call('ZREM', shown, name)
    else
      for at = first, first + drops - 1 do
        redis.call('HDEL', key, ARGV[at])
      end
      put(key, first + drops, place)
      redis.call('HSET', key, 'serial', mine, 'edition', whole_number(serial))
      redis.call('ZADD', shown, mine, name)
    end
    redis.call('ZREMRANGEBYLEX', texts, '[' .. name .. '\0', '(' .. name .. '\1')
    if line_before == '' then
      redis.call('HDEL', lines, name)
    else
      redis.call('ZADD', texts, 0, name .. '\0' .. summary)
      redis.call('HSET', lines, name, line_before .. mine .. line_after)
    end
    results[number + 1] = dropped and serial or tonumber(mine)
  end
end
redis.call('HSET', root, field('known'), redis.call('ZCARD', shown),
  field('listed'), redis.call('ZCARD', texts), field('written'), whole_number(serial))
return results
