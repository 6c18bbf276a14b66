-- ARGV: layout, era, the first serial wanted, how many. Returns the changes.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end
local wanted = tonumber(ARGV[4])
local pruned = tonumber(fact('pruned') or '0')
local found = {'ok'}

local function add(from, to)
  local left = wanted - (#found - 1)
  if left > 0 then
    for _, entry in ipairs(redis.call('XRANGE', changes, from, to, 'COUNT', left)) do
      found[#found + 1] = entry[2][2]
    end
  end
end

if tonumber(ARGV[3]) > pruned then
  add(ARGV[3], '+')
else
  add(ARGV[3], whole_number(pruned))
  if #found - 1 < wanted then
    found[#found + 1] = fact('pruning')
  end
  add(whole_number(pruned + 1), '+')
end
return found
