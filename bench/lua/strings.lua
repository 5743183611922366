-- Concatenation, comparison, find, byte and upper.
local t = os.clock()
local parts, n = {}, 0
for i = 1, 20000 do
  local s = "item" .. i .. "," .. (i * 7 % 1000)
  parts[#parts + 1] = s:upper():reverse()
  if s:find("99", 1, true) then n = n + s:byte(-1) end
  if s:sub(5, 7) < "500" then n = n + #s end
end
local all = table.concat(parts, ";")
for w in all:gmatch("%d+,") do n = n + #w end
for i = 1, #all, 3 do n = n + all:byte(i) end
print(n, os.clock() - t)
