-- KEYS: the names of an era that is over, and keys of some of its projects. ARGV: their names.
for at = 2, #KEYS do
  redis.call('UNLINK', KEYS[at])
  redis.call('ZREM', KEYS[1], ARGV[at - 1])
end
return {'ok'}
