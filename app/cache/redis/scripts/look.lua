-- Returns serial, built, run, era.
local wrong = astray()
if wrong then
  return wrong
end
local run = recognise()
return {'ok', redis.call('HGET', root, 'serial') or '0', fact('built'), run, era}
