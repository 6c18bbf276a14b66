-- Stands before every other script. All keys of a cache share one hash tag.
-- KEYS: the root, then of one era: shown (name by serial, all that are known), texts (NAME, NUL and
-- the summary to search in, of the listed), lines (of the same), changes. ARGV: layout, era.
local root, shown, texts, lines, changes = unpack(KEYS, 1, 5)
local layout, era = ARGV[1], ARGV[2]

local function field(name)
  return layout .. '.' .. name
end

-- Of an entry of the changes.
local function serial_of(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

local function fact(name)
  return redis.call('HGET', root, field(name)) or nil
end

local function whole_number(value)
  return string.format('%.0f', value)
end

-- What is wrong with asking for this era: nil where nothing is.
local function astray()
  local held = fact('era')
  if not held then
    return {'emptied'}
  elseif held ~= era then
    return {'moved', held}
  end
end

-- Whether Redis still holds every key that it was given, save those of projects.
local function complete()
  local counts = redis.call('HMGET', root, field('known'), field('listed'), field('last'))
  local known, listed = tonumber(counts[1]), tonumber(counts[2])
  return redis.call('ZCARD', shown) == known
    and redis.call('ZCARD', texts) == listed
    and redis.call('HLEN', lines) == listed
    and (counts[3] == '0' or redis.call('EXISTS', changes) == 1)
end

local function begin(fresh)
  redis.call('HSET', root, field('era'), fresh, field('built'), 0, field('known'), 0,
    field('listed'), 0, field('last'), 0, field('caught'), redis.call('HGET', root, 'serial') or 0)
  redis.call('HDEL', root, field('written'), field('pruned'), field('pruning'))
end

-- A server that was started again, or took over from another, may have lost the latest writes:
-- whatever it holds is to be compared anew, and its serials continue above those it gave out.
local function recognise()
  local answer = redis.pcall('INFO', 'server')
  local run = type(answer) == 'string' and string.match(answer, 'run_id:(%x+)')
  local held = redis.call('HGET', root, 'run')
  if run and run ~= held then
    redis.call('HSET', root, 'run', run)
    if held then
      redis.call('HINCRBY', root, 'serial', 250000)
      for _, name in ipairs(redis.call('HKEYS', root)) do
        if string.sub(name, -6) == '.built' then
          redis.call('HSET', root, name, 0)
        end
      end
    end
  end
  return redis.call('HGET', root, 'run') or ''
end

local function give(serial, before, after)
  local id = whole_number(serial)
  redis.call('XADD', changes, id .. '-0', 'c', before .. id .. after)
  redis.call('HSET', root, 'serial', id, field('last'), id)
end
