# sqlite3 in memory: inserts, an index, joins and aggregates
import sqlite3
import time


def work():
    db = sqlite3.connect(":memory:")
    db.executescript("create table a(id integer primary key, name text, v real); create table b(a integer, w integer)")
    db.executemany("insert into a values(?,?,?)", ((i, "name%d" % (i % 100), i * 0.5) for i in range(20000)))
    db.executemany("insert into b values(?,?)", ((i * 7 % 20000, i) for i in range(30000)))
    db.execute("create index b_a on b(a)")
    rows = db.execute("select name, count(*), sum(v), sum(w) from a join b on a.id = b.a group by name order by name").fetchall()
    n = sum(1 for _ in db.execute("select * from a where name like '%7' and v > 100 order by v desc"))
    return "%d.%d" % (sum(r[3] for r in rows), n)


start = time.process_time()
result = work()
print(result, time.process_time() - start)
