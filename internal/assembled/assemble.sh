#!/bin/sh
# assemble.sh NAME... makes NAME.hex of NAME.s in the current directory, for code at
# 0x20000: "name offset" lines, then the code in hex.
set -e
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for name; do
	llvm-mc-19 -triple=x86_64-linux -filetype=obj -o "$tmp/$name.o" "$name.s"
	ld.lld-19 --image-base=0x10000 -Ttext=0x20000 -e 0x20000 -o "$tmp/$name" "$tmp/$name.o"
	objcopy -O binary -j .text "$tmp/$name" "$tmp/$name.bin"
	{
		echo "# Made from $name.s by assemble.sh; do not edit."
		nm "$tmp/$name" | awk '$2 == "T" { print $3, substr($1, 9) }' | sort
		echo "--"
		od -An -v -tx1 -w32 "$tmp/$name.bin" | tr -d ' '
	} > "$name.hex"
done
