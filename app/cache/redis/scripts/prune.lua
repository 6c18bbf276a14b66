-- ARGV: layout, era, the last serial that is to go, how many at once, what is to stand in the place
-- of the last that went, cut in two. The first change stays. Returns 1 where there may be more.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end
local first = redis.call('XRANGE', changes, '-', '+', 'COUNT', 1)[1]
if not first then
  return {'ok', 0}
end
local from = whole_number(serial_of(first) + 1)
local page = redis.call('XRANGE', changes, from, ARGV[3], 'COUNT', ARGV[4])
if #page == 0 then
  return {'ok', 0}
end
local ids = {}
for at, entry in ipairs(page) do
  ids[at] = entry[1]
end
redis.call('XDEL', changes, unpack(ids))
local last = whole_number(serial_of(page[#page]))
redis.call('HSET', root, field('pruned'), last, field('pruning'), ARGV[5] .. last .. ARGV[6])
return {'ok', #page == tonumber(ARGV[4]) and 1 or 0}
