-- ARGV: layout, era, the change cut in two. Returns its serial.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end
local serial = tonumber(redis.call('HGET', root, 'serial') or '0') + 1
give(serial, ARGV[3], ARGV[4])
return {'ok', serial}
