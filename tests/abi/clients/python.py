# SPDX-License-Identifier: BSD-3-Clause
# python.py - a walk through python3-lmdb. usage: python.py fill|show|stream FROM BATCH|present, in a directory
import os
import sys
import threading

import lmdb


def writer(env, n):
    for i in range(5):
        with env.begin(write=True) as txn:
            txn.put(b"%d-%d" % (n, i), b"x")


def fill():
    env = lmdb.open("main", map_size=1 << 26, max_dbs=10)
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
    print(env.info()["map_size"], env.max_key_size(), env.max_readers(), env.reader_check())
    os.mkdir("copy")
    env.copy("copy", compact=True)
    with lmdb.open("copy", readonly=True, max_dbs=3) as copy:
        with copy.begin() as txn:
            print(txn.stat()["entries"], copy.flags()["readonly"])
    threads = [threading.Thread(target=writer, args=(env, n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(env.stat()["entries"])
    small = lmdb.open("small", map_size=1 << 20, sync=False)
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


def show():
    """Every record, in a process that did not write them."""
    for directory in ("main", "copy", "small"):
        with lmdb.open(directory, max_dbs=10, map_size=1 << 26) as env:
            with env.begin() as txn:
                names = [name for name in (b"dups", b"plain") if txn.get(name)]
            for name in [None] + names:
                db = env.open_db(name) if name else None
                with env.begin(db=db) as txn:
                    if directory != "small":  # how much fits is the library's matter
                        print(directory, name, txn.stat()["entries"])
                        for key, value in txn.cursor():
                            print(key, value if name or key not in names else "a database")
                    else:
                        print(all(key == b"more" or (value == b"x" * 1000) for key, value in txn.cursor()))


def stream(first, batch):
    """Pairs of records in two databases, batch of them in a transaction, a part of it in a nested one."""
    env = lmdb.open("stream", map_size=1 << 30, max_dbs=2)
    db, index = env.open_db(b"records"), env.open_db(b"index", dupsort=True)
    while True:
        with env.begin(write=True) as txn:
            for n in range(first, first + batch):
                with env.begin(parent=txn, write=True) as child:
                    child.put(b"%d" % n, b"value %d" % n * (n % 50), db=db)
                    child.put(b"%d" % (n % 10), b"%d" % n, db=index)
        first += batch
        print(first - 1, flush=True)


def present():
    """A record counts when it is whole and in the index."""
    env = lmdb.open("stream", map_size=1 << 30, max_dbs=2)
    db, index = env.open_db(b"records"), env.open_db(b"index", dupsort=True)
    with env.begin() as txn:
        for key, value in txn.cursor(db=db):
            n = int(key)
            if value == b"value %d" % n * (n % 50) and txn.cursor(db=index).set_key_dup(b"%d" % (n % 10), key):
                print(n)
        if txn.stat(db)["entries"] != txn.stat(index)["entries"]:
            sys.exit("the index does not fit the records")


if sys.argv[1] == "stream":
    stream(int(sys.argv[2]), int(sys.argv[3]))
else:
    {"fill": fill, "show": show, "present": present}[sys.argv[1]]()
