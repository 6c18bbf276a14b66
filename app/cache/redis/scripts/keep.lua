-- ARGV: layout, era, the time in seconds, and before which time others count as abandoned.
-- KEYS[6]: what is to be swept away.
local wrong = astray()
if wrong then
  return wrong
end
redis.call('HSET', root, field('seen'), ARGV[3])
if fact('built') == '1' then
  for _, name in ipairs(redis.call('HKEYS', root)) do
    local another = string.match(name, '^(.*)%.seen$')
    if another and tonumber(redis.call('HGET', root, name)) < tonumber(ARGV[4]) then
      redis.call('SADD', KEYS[6], another .. ':' .. redis.call('HGET', root, another .. '.era'))
      for _, fact_of in ipairs({'era', 'built', 'known', 'listed', 'last', 'caught', 'written', 'seen',
        'pruned', 'pruning'}) do
        redis.call('HDEL', root, another .. '.' .. fact_of)
      end
    end
  end
end
return {'ok'}
