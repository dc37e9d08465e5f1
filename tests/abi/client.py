# SPDX-License-Identifier: BSD-3-Clause
# client.py - a walk through python3-lmdb. usage: client.py DIR
import os
import sys
import threading

import lmdb

base = sys.argv[1]


def path(name):
    return os.path.join(base, name)


env = lmdb.open(path("main"), map_size=1 << 26, max_dbs=10)
dups = env.open_db(b"dups", dupsort=True)
plain = env.open_db(b"plain")
with env.begin(write=True) as txn:
    for i in range(1000):
        txn.put(b"%04d" % i, b"v%d" % i)
        txn.put(b"%03d" % (i % 100), b"d%d" % i, db=dups)
    with env.begin(parent=txn, write=True) as child:
        child.put(b"child", b"1", db=plain)
    try:
        with env.begin(parent=txn, write=True) as child:
            child.put(b"lost", b"1", db=plain)
            raise KeyError("undo")
    except KeyError:
        pass
    print(txn.stat(dups)["entries"], txn.stat()["entries"], txn.get(b"lost", db=plain))
with env.begin(buffers=True) as txn:
    print(bytes(txn.get(b"0007")))
with env.begin() as txn:
    cursor = txn.cursor()
    print(len(list(cursor)), cursor.set_range(b"0500"), cursor.key(), cursor.value(), cursor.prev(), cursor.key())
    print(cursor.last(), cursor.next(), cursor.key(), cursor.first(), cursor.prev())
    cursor = txn.cursor(db=dups)
    print(cursor.set_key(b"005"), list(cursor.iternext_dup()), cursor.count())
    print(list(cursor.iternext_nodup())[:3], cursor.getmulti([b"001", b"002"], dupdata=True))
    print(txn.get(b"child", db=plain), txn.get(b"missing"))
with env.begin(write=True) as txn:
    print(txn.delete(b"005", b"d5", db=dups), txn.pop(b"0001"), txn.replace(b"0002", b"new"), txn.put(b"0003", b"x", overwrite=False))
    cursor = txn.cursor(db=dups)
    print(cursor.putmulti([(b"m%d" % i, b"x") for i in range(10)]), cursor.set_range(b"m3"), cursor.delete(), cursor.key())
    txn.drop(plain, delete=False)
for failing in (lambda t: t.put(b"a", b"b"), lambda t: t.get(b""), lambda t: t.delete(b"a")):
    try:
        with env.begin() as txn:
            failing(txn)
    except lmdb.Error as error:
        print(type(error).__name__, error)
print(env.info()["map_size"], env.max_key_size() >= 511, env.max_readers(), env.reader_check())
os.mkdir(path("copy"))
env.copy(path("copy"), compact=True)
with lmdb.open(path("copy"), readonly=True, max_dbs=3) as copy:
    with copy.begin() as txn:
        print(txn.stat()["entries"], copy.flags()["readonly"])


def writer(n):
    for i in range(5):
        with env.begin(write=True) as txn:
            txn.put(b"%d-%d" % (n, i), b"x")


threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(env.stat()["entries"])
small = lmdb.open(path("small"), map_size=1 << 20, sync=False)
try:
    for i in range(100000):
        with small.begin(write=True) as txn:
            for j in range(20):
                txn.put(b"%08d" % (20 * i + j), b"x" * 1000)
except lmdb.MapFullError as error:
    print("full", str(error).split(": ", 1)[1])
small.set_mapsize(1 << 22)
with small.begin(write=True) as txn:
    print(txn.put(b"more", b"x" * 1000))
small.close()
env.close()
