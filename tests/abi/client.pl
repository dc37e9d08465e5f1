# SPDX-License-Identifier: BSD-3-Clause
# client.pl - a walk through Perl's LMDB_File, with a comparator of its own. usage: client.pl DIR
use strict;
use warnings;
use LMDB_File qw(:flags :cursor_op :error);

my $dir = "$ARGV[0]/perl";
mkdir $dir or die;
my $env = LMDB::Env->new($dir, {mapsize => 1 << 24, maxdbs => 5, mode => 0600});
my $txn = $env->BeginTxn();
my $db = $txn->OpenDB({dbname => 'words', flags => MDB_CREATE});
$db->set_compare(sub { lc($a) cmp lc($b) });
$db->put($_, "v$_") for qw(pear Apple fig Banana);
print $db->get('APPLE'), "\n";
my $dup = $txn->OpenDB({dbname => 'dups', flags => MDB_CREATE | MDB_DUPSORT});
$dup->put('k', $_) for 1 .. 5;
print $txn->commit, "\n";
$txn = $env->BeginTxn(MDB_RDONLY);
my $cursor = $txn->OpenDB('words')->Cursor;
my ($key, $data);
eval {
	while (1) {
		$cursor->get($key, $data, MDB_NEXT);
		print "$key=$data\n";
	}
};
print "end $LMDB_File::last_err\n";
$cursor = $txn->OpenDB('dups')->Cursor;
$cursor->get($key = 'k', $data, MDB_SET);
$cursor->count(my $count);
print "count $count\n";
print "$_=", $env->info->{$_}, "\n" for qw(mapsize maxreaders numreaders);
print 'entries ', $txn->OpenDB('dups')->stat->{entries}, "\n";
undef $cursor;
$txn->abort;
