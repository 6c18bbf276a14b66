-- Returns the greatest serial of a project.
local wrong = astray()
if wrong then
  return wrong
elseif not complete() then
  return {'lost'}
end
return {'ok', redis.call('ZREVRANGE', shown, 0, 0, 'WITHSCORES')[2] or '0'}
