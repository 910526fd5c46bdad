-- Makes a shadow epoch the live one, if both stand where the caller saw them, or changes nothing.
-- KEYS[1]  state hash of the partition
-- ARGV[1]  state hash of the shadow, in the same slot
-- ARGV[2]  epoch of the live counters; ARGV[3] their applied offset; ARGV[4] id of the frame there, '' for none
-- ARGV[5]  the same of the shadow: epoch; ARGV[6] applied offset; ARGV[7] id of the frame
-- answer   {'SWAPPED'} | {'LIVE', epoch or '', cur or ''}: the live state is another | {'SHADOW', epoch or '', cur or ''}
local function stands(key, epoch, cur, frame)
  local state = redis.call('HMGET', key, 'epoch', 'cur', 'frame')
  return state[1] == epoch and state[2] == cur and (state[3] or '') == frame, {state[1] or '', state[2] or ''}
end
local is_there, where = stands(ARGV[1], ARGV[5], ARGV[6], ARGV[7])
if not is_there then
  return {'SHADOW', where[1], where[2]}
end
is_there, where = stands(KEYS[1], ARGV[2], ARGV[3], ARGV[4])
if not is_there then
  return {'LIVE', where[1], where[2]}
end
-- Of the live state, which has no end, it changes nothing: who may not run it is refused before the first write.
redis.call('PERSIST', KEYS[1])
redis.call('RENAME', ARGV[1], KEYS[1])
redis.call('PERSIST', KEYS[1])
return {'SWAPPED'}
