-- ARGV: layout, era, the name after which to begin, how many names to look at, how many to
-- return, 1 where all terms must be found, numbers of terms for names and for summaries, those
-- terms. Returns where to go on ('' at the end), then lines.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end
local after, chunk, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local all, for_names, for_summaries = ARGV[6] == '1', tonumber(ARGV[7]), tonumber(ARGV[8])

local function contains(text, first, count)
  for at = first, first + count - 1 do
    local found = string.find(text, ARGV[at], 1, true) ~= nil
    if found ~= all then
      return found
    end
  end
  return count > 0 and all
end

-- No name holds a byte below that of a hyphen, so the texts are in the order of the names.
local from = after == '' and '-' or '(' .. after .. '\0\255'
local page = redis.call('ZRANGEBYLEX', texts, from, '+', 'LIMIT', 0, chunk)
local last = ''
local matching = {}
for at, text in ipairs(page) do
  local cut = string.find(text, '\0', 1, true)
  local name = string.sub(text, 1, cut - 1)
  if for_names + for_summaries == 0
    or contains(name, 9, for_names)
    or contains(string.sub(text, cut + 1), 9 + for_names, for_summaries) then
    matching[#matching + 1] = name
  end
  if #matching == limit or at == chunk then
    last = name
    break
  end
end
if #matching == 0 then
  return {'ok', last}
end
return {'ok', last, unpack(redis.call('HMGET', lines, unpack(matching)))}
