# SPDX-License-Identifier: BSD-3-Clause
# perl.pl - a walk through Perl's LMDB_File, with a comparator of its own. usage: perl.pl fill|show|stream FROM BATCH|present, in a directory
use strict;
use warnings;
use LMDB_File qw(:flags :cursor_op :error);

sub opened {
	my ($dir) = @_;
	return LMDB::Env->new($dir, {mapsize => 1 << 28, maxdbs => 5, mode => 0600});
}

sub without_case { return lc($a) cmp lc($b) }

# walk - print every pair that a cursor on $db gives
sub walk {
	my ($db) = @_;
	my $cursor = $db->Cursor;
	my ($key, $data);
	eval {
		while (1) {
			$cursor->get($key, $data, MDB_NEXT);
			print "$key=$data\n";
		}
	};
	print "end $LMDB_File::last_err\n";
	return;
}

sub fill {
	my $env = opened('words');
	my $txn = $env->BeginTxn();
	my $db = $txn->OpenDB({dbname => 'words', flags => MDB_CREATE});
	$db->set_compare(\&without_case);
	$db->put($_, "v$_") for qw(pear Apple fig Banana);
	print $db->get('APPLE'), "\n";
	my $dup = $txn->OpenDB({dbname => 'dups', flags => MDB_CREATE | MDB_DUPSORT});
	$dup->put('k', $_) for 1 .. 5;
	print $txn->commit, "\n";
	$txn = $env->BeginTxn();
	$db = $txn->OpenDB({dbname => 'words'});
	$db->set_compare(\&without_case);
	$db->put('FIG', 'replaced');
	eval { $db->put('Apple', 'again', MDB_NOOVERWRITE) };
	print "refused $LMDB_File::last_err\n";
	$db->put($_, 'lost') for qw(aa zz);
	my $child = $txn->SubTxn;
	$child->OpenDB({dbname => 'dups'})->del('k', '3');
	$child->commit;
	$txn->OpenDB({dbname => 'words'})->del('zz');
	print $txn->commit, "\n";
	$txn = $env->BeginTxn();
	$txn->OpenDB({dbname => 'dups'})->put('k', 'never');
	$txn->abort;
	return;
}

sub show {
	my $env = opened('words');
	my $txn = $env->BeginTxn(MDB_RDONLY);
	my $db = $txn->OpenDB('words');
	$db->set_compare(\&without_case);
	walk($db);
	print $db->get('BANANA'), "\n";
	my $dups = $txn->OpenDB('dups');
	walk($dups);
	my $cursor = $dups->Cursor;
	my ($key, $data) = ('k');
	$cursor->get($key, $data, MDB_SET);
	$cursor->count(my $count);
	print "count $count\n";
	$cursor->get($key, $data = '4', MDB_GET_BOTH);
	$cursor->get($key, $data, MDB_PREV);
	print "before 4: $data\n";
	print "$_=", $env->info->{$_}, "\n" for qw(mapsize maxreaders numreaders);
	print 'entries ', $dups->stat->{entries}, "\n";
	undef $cursor;
	$txn->abort;
	return;
}

sub stream {
	my ($first, $batch) = @_;
	my $env = opened('stream');
	$| = 1;
	for (;; $first += $batch) {
		my $txn = $env->BeginTxn();
		my $db = $txn->OpenDB({dbname => 'records', flags => MDB_CREATE | MDB_INTEGERKEY});
		$db->put($_, "value $_") for $first .. $first + $batch - 1;
		$txn->commit;
		print $first + $batch - 1, "\n";
	}
	return;
}

sub present {
	my $env = opened('stream');
	my $txn = $env->BeginTxn(MDB_RDONLY);
	my $cursor = $txn->OpenDB('records')->Cursor;
	my ($key, $data);
	eval {
		while (1) {
			$cursor->get($key, $data, MDB_NEXT);
			print "$key\n" if $data eq "value $key";
		}
	};
	undef $cursor;
	$txn->abort;
	return;
}

my %step = (fill => \&fill, show => \&show, stream => \&stream, present => \&present);
my $name = shift;
$step{$name}->(@ARGV);
