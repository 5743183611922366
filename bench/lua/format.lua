-- string.format and gsub with patterns and functions.
local t = os.clock()
local n = 0
for i = 1, 30000 do
  local s = string.format("%05d %-8s %g %x %q", i, "w" .. i, i / 7, i * 31, "q" .. i)
  n = n + #s
  s = s:gsub("%d+", function(d) return #d end)
  s = s:gsub("(%a)(%a)", "%2%1")
  n = n + #s + s:byte(3)
end
print(n, os.clock() - t)
