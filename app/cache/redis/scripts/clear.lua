-- ARGV: layout, the era to begin, the floor of its serials. KEYS[6]: what is to be swept away.
-- Returns the serial, and the run.
local run = recognise()
local held = fact('era')
if held then
  redis.call('SADD', KEYS[6], layout .. ':' .. held)
end
local serial = math.max(tonumber(redis.call('HGET', root, 'serial') or '0'), tonumber(ARGV[3]))
redis.call('HSET', root, 'serial', whole_number(serial))
begin(ARGV[2])
return {'ok', whole_number(serial), run}
