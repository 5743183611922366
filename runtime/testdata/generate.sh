#!/bin/sh
# Assembles guest.s to guest.hex: "name offset" lines, then the code in hex.
# The result is committed, so that the tests need no toolchain.
set -e
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
llvm-mc-19 -triple=x86_64-linux -filetype=obj -o "$tmp/guest.o" guest.s
ld.lld-19 --image-base=0x10000 -Ttext=0x20000 -e 0x20000 -o "$tmp/guest" "$tmp/guest.o"
objcopy -O binary -j .text "$tmp/guest" "$tmp/guest.bin"
{
	echo "# Made from guest.s by generate.sh; do not edit."
	nm "$tmp/guest" | awk '$2 == "T" { print $3, substr($1, 9) }' | sort
	echo "--"
	od -An -v -tx1 -w32 "$tmp/guest.bin" | tr -d ' '
} > guest.hex
