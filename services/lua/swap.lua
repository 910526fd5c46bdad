-- Makes a shadow epoch the live one, if both stand at the same frame of the same log, or changes nothing.
-- KEYS[1]  state hash of the partition
-- ARGV[1]  state hash of the shadow, in the same slot
-- ARGV[2]  epoch of the live counters
-- ARGV[3]  epoch of the shadow; ARGV[4] its applied offset; ARGV[5] id of the frame there, '' for none
-- answer   {'SWAPPED'} | {'LIVE', epoch or '', cur or ''}: the live state is not at ARGV[2], ARGV[4], ARGV[5]
--          | {'SHADOW', epoch or '', cur or ''}: the shadow is not at ARGV[3], ARGV[4], ARGV[5]
local live = redis.call('HMGET', KEYS[1], 'epoch', 'cur', 'frame')
local shadow = redis.call('HMGET', ARGV[1], 'epoch', 'cur', 'frame')
if shadow[1] ~= ARGV[3] or shadow[2] ~= ARGV[4] or (shadow[3] or '') ~= ARGV[5] then
  return {'SHADOW', shadow[1] or '', shadow[2] or ''}
end
if live[1] ~= ARGV[2] or live[2] ~= ARGV[4] or (live[3] or '') ~= ARGV[5] then
  return {'LIVE', live[1] or '', live[2] or ''}
end
redis.call('RENAME', ARGV[1], KEYS[1])
redis.call('PERSIST', KEYS[1])
return {'SWAPPED'}
