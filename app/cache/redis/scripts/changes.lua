-- ARGV: layout, era, the first serial wanted, how many. Returns the changes.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end
local found = {'ok'}
for at, entry in ipairs(redis.call('XRANGE', changes, ARGV[3], '+', 'COUNT', ARGV[4])) do
  found[at + 1] = entry[2][2]
end
return found
