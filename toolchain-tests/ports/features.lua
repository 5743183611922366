-- Run by the native interpreter and in the sandbox; the output must be the same.
local function show(...) print(select("#", ...), ...) end

-- numbers
show(7 // 2, -7 // 2, 7 % -3, 7.5 // 2, 1 << 62, 1 << 64, ~0, 5 // 0.0, -5 % math.huge)
show(0x7fffffffffffffff + 1 == math.mininteger, 2 ^ 53, 10 / 3, 1e308 * 10, -(0 / 0) ~= -(0 / 0))
show(string.format("%5.2f|%g|%a|%10s|%-10s|%q|%x|%5d", math.pi, 1e100, 0.1, "right", "left", "q\n\0z", 255, -42))
show(tostring(3), tostring(3.0), 3 | 0, tonumber("0x1p4"), tonumber("  12  "), tonumber("1e1"), tonumber("z", 36), math.tointeger(3.0))
for _, f in ipairs { "sin", "cos", "tan", "exp", "log", "sqrt", "floor", "ceil", "abs" } do show(f, math[f](1.25)) end

-- strings
show(("hello world"):find("o w"), ("hello"):rep(3, "-"), ("%d+"):len(), ("x = 12, y = 345"):match("(%a) = (%d+), (%a) = (%d+)"))
show(("abc"):gsub("%w", "%0%0"), ("hello world"):gsub("o", { o = "0" }), ("abc"):byte(1, -1), utf8.char(72, 228, 8364, 128512), utf8.len("häß€"))
show(string.unpack("<i4z", string.pack("<i4z", -2, "packed")), #string.pack("!8 i1 i8", 1, 2))
for w in ("one two  three"):gmatch("%a+") do show(w) end

-- tables, sorting, closures, metatables
local t = {}
for i = 1, 1000 do t[i] = (i * 7919) % 1009 end
table.sort(t, function(a, b) return a > b end)
show(t[1], t[500], t[1000], #t, table.concat(t, ",", 1, 5), select("#", table.unpack(t, 1, 200)))
local counter = (function() local n = 0; return function() n = n + 1; return n end end)()
counter(); show(counter(), counter())
local V = setmetatable({}, { __add = function(a, b) return "sum" end, __index = function(_, k) return k .. "!" end, __call = function(_, x) return x * 2 end, __len = function() return 99 end, __close = function() print "closed" end })
show(V + V, V.key, V(21), #V)
do local c <close> = V; print "open" end

-- errors, coroutines: setjmp and longjmp behind both
show(pcall(error, { code = 7 }), select(2, pcall(error, "plain", 0)))
show(pcall(function() local x = nil; return x.field end))
show(xpcall(function() error("inner") end, function(m) return "handled: " .. m end))
local function deep(n) if n == 0 then error("bottom", 0) end; deep(n - 1); return n end
show(pcall(deep, 150))
show(select("#", pcall(string.rep, "x", -1)), pcall(string.rep))
local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1); for i = 1, 3 do coroutine.yield(b * i) end; error("end of it", 0) end)
show(co(1), co(10), co(), co(), pcall(co))
local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local sum = 0; for i in gen(10000) do sum = sum + i end; show(sum)
show(pcall(function() local function f() return f() + 1 end; return f() end) == false)

-- the collector, with finalizers and weak tables
local weak = setmetatable({}, { __mode = "v" })
weak[1] = {}; for i = 1, 200 do weak[i + 1] = setmetatable({}, { __gc = function() sum = sum + 1 end }) end
collectgarbage(); collectgarbage()
show(next(weak), sum, collectgarbage("count") > 0)
collectgarbage("generational"); for i = 1, 1e5 do local x = { i } end; collectgarbage("incremental"); collectgarbage()

-- code at run time
show(load("return 1 + 1")(), load("syntax error here"), #string.dump(function() return 1 end) > 20)
local chunk = load(string.dump(function(a) return a * 2 end)); show(chunk(21))
do local i = 1; ::top:: if i < 5 then i = i + 1; goto top end; show(i) end

-- files and time
local name = os.tmpname()
local f = assert(io.open(name, "w+")); f:write("line 1\n", 2, "\n", 3.5, "\nlast"); f:seek("set", 0)
show(f:read("l", "n", "n", "l", "a")); f:close()
for l in io.lines(name) do show(l) end
show(os.remove(name), (io.open(name)))
show(os.date("!%Y-%m-%d %H:%M:%S", 86400 * 365), os.time { year = 2020, month = 1, day = 1, hour = 12 } ~= nil, os.getenv("NOTHING_LIKE_IT"))
