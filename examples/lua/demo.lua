-- What `make demo` runs inside the sandbox: the lua program, liblua.so, libc.so,
-- lpeg.so and dir.so are native x86-64 code that was validated before it ran.

print(_VERSION .. " in a halite domain")

-- 1. A grammar: arithmetic with precedence, parsed and evaluated by lpeg,
--    a C module that require() finds and loads through dlopen.
local lpeg = require "lpeg"
local P, R, S, V, C, Ct, Cf, Cg = lpeg.P, lpeg.R, lpeg.S, lpeg.V, lpeg.C, lpeg.Ct, lpeg.Cf, lpeg.Cg

local space = S " \t\n" ^ 0
local function token(p) return p * space end
local number = token(C(P "-" ^ -1 * R "09" ^ 1 * (P "." * R "09" ^ 1) ^ -1) / tonumber)
local apply = {
  ["+"] = function(a, b) return a + b end,
  ["-"] = function(a, b) return a - b end,
  ["*"] = function(a, b) return a * b end,
  ["/"] = function(a, b) return a / b end,
}
local function fold(a, op, b) return apply[op](a, b) end
local grammar = space * P {
  "sum",
  sum = Cf(V "product" * Cg(token(C(S "+-")) * V "product") ^ 0, fold),
  product = Cf(V "atom" * Cg(token(C(S "*/")) * V "atom") ^ 0, fold),
  atom = number + token(P "(") * V "sum" * token(P ")"),
} * -1

print "\nlpeg (through dlopen) parses and evaluates:"
for _, text in ipairs { "1 + 2 * 3", "(1 + 2) * 3", "2 * (3 + 4) * 5 - 6 / 4", "1 + * 2" } do
  local value = grammar:match(text)
  print(string.format("  %-28s %s", text, value and tostring(value) or "(not in the grammar)"))
end

-- 2. A small benchmark.
local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end
local function words(n)
  local t = {}
  for i = 1, n do t[#t + 1] = string.format("%05x", (i * 7919) % 65536) end
  table.sort(t)
  return #table.concat(t, " "):gsub("%x+", string.upper)
end

print "\na small benchmark:"
for _, case in ipairs {
  { "fib(27)", function() return fib(27) end },
  { "primes below 400,000", function() return sieve(400000) end },
  { "format, sort, gsub 40,000", function() return words(40000) end },
} do
  local start = os.clock()
  local result = case[2]()
  print(string.format("  %-28s %10s %8.1f ms", case[1], result, (os.clock() - start) * 1000))
end

-- 3. The domain's own name space: what the host granted, and nothing else.
local dir = require "dir"
print "\nthe domain's name space:"
for _, path in ipairs { "/", "/demo" } do
  for _, e in ipairs(dir.list(path)) do
    print(string.format("  %-28s %-10s %8d", (path == "/" and "" or path) .. "/" .. e.name, e.kind, e.size))
  end
end
local secret, why = io.open("/etc/passwd")
print("  the host's /etc/passwd:      " .. (secret and "READABLE" or tostring(why)))
