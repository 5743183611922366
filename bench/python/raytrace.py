# Small objects with operators: spheres and a floor, traced
import math
import time


class Vec:
    __slots__ = ("x", "y", "z")

    def __init__(self, x, y, z):
        self.x, self.y, self.z = x, y, z

    def __add__(self, o):
        return Vec(self.x + o.x, self.y + o.y, self.z + o.z)

    def __sub__(self, o):
        return Vec(self.x - o.x, self.y - o.y, self.z - o.z)

    def __mul__(self, k):
        return Vec(self.x * k, self.y * k, self.z * k)

    def dot(self, o):
        return self.x * o.x + self.y * o.y + self.z * o.z

    def unit(self):
        return self * (1.0 / math.sqrt(self.dot(self)))


class Sphere:
    def __init__(self, center, radius, shade):
        self.center, self.radius, self.shade = center, radius, shade

    def hit(self, origin, direction):
        oc = origin - self.center
        b = oc.dot(direction)
        d = b * b - oc.dot(oc) + self.radius * self.radius
        if d < 0:
            return None
        t = -b - math.sqrt(d)
        return t if t > 1e-4 else None

    def normal(self, p):
        return (p - self.center).unit()


class Floor:
    shade = 0.4

    def hit(self, origin, direction):
        if direction.y >= -1e-6:
            return None
        return -(origin.y + 1.0) / direction.y

    def normal(self, p):
        return Vec(0.0, 1.0, 0.0)


LIGHT = Vec(0.5, 0.8, -0.6).unit()


def trace(things, origin, direction, depth):
    best, which = None, None
    for thing in things:
        t = thing.hit(origin, direction)
        if t is not None and (best is None or t < best):
            best, which = t, thing
    if which is None:
        return 0.2 + 0.3 * max(0.0, direction.y)
    p = origin + direction * best
    n = which.normal(p)
    light = 0.1
    if not any(o.hit(p, LIGHT) is not None for o in things if o is not which):
        light += max(0.0, n.dot(LIGHT)) * which.shade
    if depth:
        r = direction - n * (2.0 * direction.dot(n))
        light = 0.7 * light + 0.3 * trace(things, p + n * 1e-4, r.unit(), depth - 1)
    return light


def work(size):
    things = [Sphere(Vec(i - 2.0, math.sin(i), 4.0 + i % 3), 0.7, 0.2 + 0.15 * i) for i in range(5)] + [Floor()]
    total = 0
    for y in range(size):
        for x in range(size):
            d = Vec(2.0 * x / size - 1.0, 1.0 - 2.0 * y / size, 1.5).unit()
            total += int(255 * trace(things, Vec(0.0, 0.0, -1.0), d, 2))
    return total


start = time.process_time()
result = work(70)
print(result, time.process_time() - start)
