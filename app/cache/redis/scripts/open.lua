-- ARGV: layout, an era to begin where there is none, the time in seconds. Returns era, serial.
recognise()
if not fact('era') then
  begin(ARGV[2])
else
  local caught = tonumber(fact('caught'))
  for _, name in ipairs(redis.call('HKEYS', root)) do
    local another = string.match(name, '^(.*)%.written$')
    if another and another ~= layout and tonumber(redis.call('HGET', root, name)) > caught then
      redis.call('HSET', root, field('built'), 0)
    end
  end
end
redis.call('HSET', root, field('seen'), ARGV[3])
return {'ok', fact('era'), redis.call('HGET', root, 'serial') or '0'}
