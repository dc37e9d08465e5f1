<?php
# SPDX-License-Identifier: BSD-3-Clause
# php.php - a walk through PHP's dba. usage: php.php fill|show|stream FROM|present, in a directory

const MAP_SIZE = 1 << 30;

function opened(string $name, string $mode)
{
	$db = dba_open("$name.lmdb", $mode, 'lmdb', 0644, MAP_SIZE);
	if ($db === false)
		exit("cannot open $name\n");
	return $db;
}

/* walk - all keys and values. Between two steps others are fetched, for which dba resets and renews its transaction, and goes on with the same
 * cursor. They are there: asking for one that is not makes PHP's own handler abort the transaction of the walk. */
function walk($db): void
{
	for ($key = dba_firstkey($db); $key !== false; $key = dba_nextkey($db)) {
		$value = dba_fetch($key, $db);
		echo $key, ' ', strlen($value), ' ', md5($value), ' ', dba_exists($key, $db) ? 'there' : 'gone', "\n";
	}
}

function fill(): void
{
	$db = opened('first', 'n');
	for ($i = 0; $i < 200; $i++)
		echo (int)dba_insert("key$i", str_repeat("value $i ", $i * 7 % 90), $db);
	echo "\n", (int)@dba_insert('key7', 'twice', $db), (int)dba_replace('key7', 'replaced', $db), "\n";
	echo (int)dba_delete('key8', $db), (int)@dba_delete('key8', $db), (int)@dba_delete('none', $db), "\n";
	echo (int)dba_insert('big', str_repeat('0123456789', 20000), $db), (int)dba_sync($db), (int)dba_optimize($db), "\n";
	var_dump(dba_fetch('key7', $db), dba_fetch('none', $db), dba_exists('key9', $db));
	dba_close($db);
	$db = opened('first', 'w');
	for ($i = 100; $i < 150; $i++)
		dba_delete("key$i", $db);
	dba_replace('late', 'x', $db);
	walk($db);
	dba_close($db);
	$db = opened('second', 'c');
	dba_insert('only', 'one', $db);
	dba_close($db);
	var_dump(@dba_open('missing.lmdb', 'r', 'lmdb'));
}

function show(): void
{
	foreach (['first', 'second'] as $name) {
		$db = opened($name, 'r');
		walk($db);
		echo (int)@dba_insert('refused', 'x', $db), "\n";
		dba_close($db);
	}
}

function stream(int $n): void
{
	$db = opened('stream', 'c');
	for (;; $n++) {
		if (!dba_insert("$n", str_repeat("$n ", $n % 100), $db))
			exit("insert\n");
		echo "$n\n";
	}
}

function present(): void
{
	$db = opened('stream', 'c');
	for ($key = dba_firstkey($db); $key !== false; $key = dba_nextkey($db))
		if (dba_fetch($key, $db) === str_repeat("$key ", (int)$key % 100))
			echo "$key\n";
	dba_close($db);
}

match ($argv[1]) {
	'fill' => fill(),
	'show' => show(),
	'stream' => stream((int)$argv[2]),
	'present' => present(),
};
