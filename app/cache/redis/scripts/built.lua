-- ARGV: layout, era, the serial, the server's run and the era when it was begun to be built.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() or recognise() ~= ARGV[4] or era ~= ARGV[5] then
  return {'lost'}
end
if tonumber(fact('caught')) < tonumber(ARGV[3]) then
  redis.call('HSET', root, field('caught'), ARGV[3])
end
redis.call('HSET', root, field('built'), 1)
return {'ok'}
