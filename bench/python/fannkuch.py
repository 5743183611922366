# Lists of small integers: pancake flipping over permutations
import time


def fannkuch(n):
    count = list(range(1, n + 1))
    most, m, r = 0, n - 1, n
    perm1, perm = list(range(n)), list(range(n))
    while True:
        while r != 1:
            count[r - 1] = r
            r -= 1
        if perm1[0] != 0 and perm1[m] != m:
            perm = perm1[:]
            flips = 0
            k = perm[0]
            while k:
                perm[:k + 1] = reversed(perm[:k + 1])
                flips += 1
                k = perm[0]
            most = max(most, flips)
        while r != n:
            perm1.insert(r, perm1.pop(0))
            count[r] -= 1
            if count[r] > 0:
                break
            r += 1
        else:
            return most


start = time.process_time()
result = fannkuch(9)
print(result, time.process_time() - start)
