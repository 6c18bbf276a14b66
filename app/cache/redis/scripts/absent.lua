-- ARGV: layout, era, a name, an era to begin where nothing can be saved. KEYS[6]: its project.
-- Whether a project that was not found is really not known; what Redis lost must be built anew.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  redis.call('SADD', KEYS[7], layout .. ':' .. era)
  begin(ARGV[4])
  return {'lost'}
elseif redis.call('ZSCORE', shown, ARGV[3]) and redis.call('EXISTS', KEYS[6]) == 0 then
  redis.call('HSET', root, field('built'), 0)
  return {'lost'}
end
return {'ok'}
