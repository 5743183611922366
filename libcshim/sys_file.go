package libcshim

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
)

// withFile looks a descriptor up for the time of f.
func (k *task) withFile(fd uint64, f func(o *openFile) (int64, error)) (int64, error) {
	o, err := k.p.fds.get(int32Arg(fd))
	if err != nil {
		return 0, err
	}
	defer o.release()
	return f(o)
}

// forReading and forWriting are withFile for a descriptor with that access.
func (k *task) forReading(fd uint64, f func(o *openFile) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		if !o.readable() {
			return 0, unix.EBADF
		}
		return f(o)
	})
}

func (k *task) forWriting(fd uint64, f func(o *openFile) (int64, error)) (int64, error) {
	return k.withFile(fd, func(o *openFile) (int64, error) {
		if !o.writable() {
			return 0, unix.EBADF
		}
		n, err := f(o)
		if err == unix.EPIPE {
			k.raise(unix.SIGPIPE)
		}
		return n, err
	})
}

// raise sends a signal to the thread itself.
func (k *task) raise(sig unix.Signal) {
	_ = k.p.send(k, siginfo{signo: int(sig), code: siUser, pid: k.p.dom.PID(), uid: int(k.p.cfg.Identity.UID)})
}

// at is a position in a file: -1 means the file's own, which moves.
const ownPosition = -1

// readv reads into pieces of guest memory, chunk by chunk. What was read before
// an error counts.
func (k *task) readv(o *openFile, vecs []vec, off int64) (int64, error) {
	if d, ok := namespace.Unwrap(o.file).(namespace.Direct); ok {
		n, err := d.ReadVec(k.direct(vecs), off)
		return int64(n), err
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	var total int64
	for _, v := range vecs {
		for v.len > 0 {
			want := buf[:min(v.len, chunkSize)]
			n, err := k.transfer(o, unix.POLLIN, func() (int, error) {
				if off == ownPosition {
					return o.file.Read(want)
				}
				return o.file.ReadAt(want, off+total)
			})
			if err == nil && n > 0 {
				if werr := k.p.mem.Write(v.addr, want[:n]); werr != nil {
					err = werr
					if off == ownPosition {
						// The guest has not got it: step back where that is
						// possible.
						_, _ = o.file.Seek(-int64(n), unix.SEEK_CUR)
					}
				}
			}
			if err != nil {
				if total > 0 {
					return total, nil
				}
				return 0, err
			}
			total += int64(n)
			if n < len(want) {
				return total, nil
			}
			v.addr += uint32(n)
			v.len -= uint64(n)
			if v.len > 0 && o.stream() {
				// A stream gives what it has; asking again might block.
				return total, nil
			}
		}
	}
	return total, nil
}

// direct turns pieces of guest memory into addresses for the kernel. It is the
// one place where a guest's address becomes one of the host's outside safemem:
// each piece is cut at the end of the sandbox, whose whole range is the cage's
// as long as the domain lives, so that the kernel meets the guest's pages or
// EFAULT.
func (k *task) direct(vecs []vec) []namespace.IOVec {
	list := make([]namespace.IOVec, len(vecs))
	base := k.p.mem.Base()
	for i, v := range vecs {
		list[i] = namespace.IOVec{
			Addr: base + uintptr(v.addr),
			Len:  uintptr(min(v.len, cage.Size-uint64(v.addr))),
		}
	}
	return list
}

// stream reports whether a read is over after the first piece.
func (o *openFile) stream() bool {
	if _, ok := namespace.Unwrap(o.file).(namespace.Direct); ok {
		return false // a regular file
	}
	_, err := o.file.Seek(0, unix.SEEK_CUR)
	return err != nil
}

// writev writes pieces of guest memory. Small pieces are gathered, so that a
// vector is one write and a record of a pipe stays in one piece.
func (k *task) writev(o *openFile, vecs []vec, off int64) (int64, error) {
	if d, ok := namespace.Unwrap(o.file).(namespace.Direct); ok {
		n, err := d.WriteVec(k.direct(vecs), off)
		return int64(n), err
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	var total int64
	if len(vecs) == 0 {
		_, err := k.transfer(o, unix.POLLOUT, func() (int, error) { return o.file.Write(nil) })
		return 0, ignoreEINVAL(err)
	}
	for len(vecs) > 0 {
		fill := 0
		for len(vecs) > 0 && fill < chunkSize {
			v := &vecs[0]
			n := int(min(v.len, uint64(chunkSize-fill)))
			if err := k.p.mem.Read(v.addr, buf[fill:fill+n]); err != nil {
				if total+int64(fill) == 0 {
					return 0, err
				}
				vecs = nil // write what there is
				break
			}
			fill += n
			v.addr += uint32(n)
			if v.len -= uint64(n); v.len == 0 {
				vecs = vecs[1:]
			}
		}
		for done := 0; done < fill; {
			n, err := k.transfer(o, unix.POLLOUT, func() (int, error) {
				if off == ownPosition {
					return o.file.Write(buf[done:fill])
				}
				return o.file.WriteAt(buf[done:fill], off+total)
			})
			if err != nil {
				if total > 0 && err != unix.EPIPE {
					return total, nil
				}
				return total, err
			}
			if n == 0 {
				return total, nil
			}
			done += n
			total += int64(n)
		}
	}
	return total, nil
}

// ignoreEINVAL is for writes of nothing.
func ignoreEINVAL(err error) error {
	if err == unix.EINVAL || err == unix.EAGAIN {
		return nil
	}
	return err
}

func (k *task) one(addr, n uint64) []vec {
	if n == 0 {
		return nil
	}
	return []vec{{uint32(addr), min(n, maxTransfer)}}
}

func sysRead(k *task, a *args) (int64, error) {
	return k.forReading(a[0], func(o *openFile) (int64, error) {
		if o.isDir {
			return 0, unix.EISDIR
		}
		return k.readv(o, k.one(a[1], a[2]), ownPosition)
	})
}

func sysWrite(k *task, a *args) (int64, error) {
	return k.forWriting(a[0], func(o *openFile) (int64, error) {
		return k.writev(o, k.one(a[1], a[2]), ownPosition)
	})
}

func sysReadv(k *task, a *args) (int64, error) {
	return k.forReading(a[0], func(o *openFile) (int64, error) {
		vecs, err := k.iovec(a[1], a[2])
		if err != nil {
			return 0, err
		}
		return k.readv(o, vecs, ownPosition)
	})
}

func sysWritev(k *task, a *args) (int64, error) {
	return k.forWriting(a[0], func(o *openFile) (int64, error) {
		vecs, err := k.iovec(a[1], a[2])
		if err != nil {
			return 0, err
		}
		return k.writev(o, vecs, ownPosition)
	})
}

// position checks the offset of pread and its kin.
func position(o *openFile, off uint64) (int64, error) {
	if int64(off) < 0 {
		return 0, unix.EINVAL
	}
	if o.stream() {
		return 0, unix.ESPIPE
	}
	return int64(off), nil
}

func sysPread(k *task, a *args) (int64, error) {
	return k.forReading(a[0], func(o *openFile) (int64, error) {
		off, err := position(o, a[3])
		if err != nil {
			return 0, err
		}
		return k.readv(o, k.one(a[1], a[2]), off)
	})
}

func sysPwrite(k *task, a *args) (int64, error) {
	return k.forWriting(a[0], func(o *openFile) (int64, error) {
		off, err := position(o, a[3])
		if err != nil {
			return 0, err
		}
		return k.writev(o, k.one(a[1], a[2]), off)
	})
}

func sysPreadv(k *task, a *args) (int64, error) {
	return k.forReading(a[0], func(o *openFile) (int64, error) {
		off, err := position(o, a[3])
		if err != nil {
			return 0, err
		}
		vecs, err := k.iovec(a[1], a[2])
		if err != nil {
			return 0, err
		}
		return k.readv(o, vecs, off)
	})
}

func sysPwritev(k *task, a *args) (int64, error) {
	return k.forWriting(a[0], func(o *openFile) (int64, error) {
		off, err := position(o, a[3])
		if err != nil {
			return 0, err
		}
		vecs, err := k.iovec(a[1], a[2])
		if err != nil {
			return 0, err
		}
		return k.writev(o, vecs, off)
	})
}

// preadv2 and pwritev2 with flags are refused: nobody needs them, and -1 as the
// offset means the file's own.
func sysPreadv2(k *task, a *args) (int64, error) {
	if a[5] != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if int64(a[3]) == -1 {
		return sysReadv(k, a)
	}
	return sysPreadv(k, a)
}

func sysPwritev2(k *task, a *args) (int64, error) {
	if a[5] != 0 {
		return 0, unix.EOPNOTSUPP
	}
	if int64(a[3]) == -1 {
		return sysWritev(k, a)
	}
	return sysPwritev(k, a)
}

func sysClose(k *task, a *args) (int64, error) {
	o, err := k.p.fds.remove(int32Arg(a[0]))
	if err != nil {
		return 0, err
	}
	k.p.leaves(o)
	return 0, o.release()
}

// leaves is told of each number that is taken from a file by the guest.
func (p *Process) leaves(o *openFile) {
	p.fds.forget(o)
	p.tree.locks.closed(o)
	p.tree.records.closed(p.node, o)
}

func sysCloseRange(k *task, a *args) (int64, error) {
	first, last, flags := uint32(a[0]), uint32(a[1]), uint32(a[2])
	const unshare, cloexec = 2, 4
	if first > last || flags&^(unshare|cloexec) != 0 {
		return 0, unix.EINVAL
	}
	for _, fd := range k.p.fds.Numbers() {
		if uint32(fd) < first || uint32(fd) > last {
			continue
		}
		if flags&cloexec != 0 {
			_ = k.p.fds.setCloexec(fd, true)
			continue
		}
		if o, err := k.p.fds.remove(fd); err == nil {
			k.p.leaves(o)
			_ = o.release()
		}
	}
	return 0, nil
}

func sysLseek(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		off, whence := int64(a[1]), int32Arg(a[2])
		if o.isDir {
			return o.seekDir(off, whence)
		}
		return o.file.Seek(off, whence)
	})
}

func sysFtruncate(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		if !o.writable() {
			return 0, unix.EINVAL
		}
		return 0, o.file.Truncate(int64(a[1]))
	})
}

func sysFsync(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) { return 0, o.file.Sync() })
}

// sysAdvise stands for calls that are advice: the descriptor must be good.
func sysAdvise(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		if o.stream() && !o.isDir {
			return 0, unix.ESPIPE
		}
		return 0, nil
	})
}

func sysFallocate(k *task, a *args) (int64, error) {
	return k.forWriting(a[0], func(o *openFile) (int64, error) {
		off, n := int64(a[2]), int64(a[3])
		if off < 0 || n <= 0 || off+n < 0 {
			return 0, unix.EINVAL
		}
		if a[1] != 0 {
			return 0, unix.EOPNOTSUPP
		}
		st, err := o.file.Stat()
		if err != nil {
			return 0, err
		}
		if !st.IsRegular() {
			return 0, unix.ENODEV
		}
		if off+n > st.Size {
			return 0, o.file.Truncate(off + n)
		}
		return 0, nil
	})
}

func sysDup(k *task, a *args) (int64, error) {
	return k.dupFrom(int32Arg(a[0]), 0, false)
}

// dupFrom gives an open file the lowest free number that is at least from.
func (k *task) dupFrom(fd, from int, cloexec bool) (int64, error) {
	o, err := k.p.fds.get(fd)
	if err != nil {
		return 0, err
	}
	n, err := k.p.fds.add(o, from, cloexec)
	if err != nil {
		_ = o.release()
		return 0, err
	}
	return int64(n), nil
}

func sysDup2(k *task, a *args) (int64, error) {
	if int32Arg(a[0]) == int32Arg(a[1]) {
		return k.withFile(a[0], func(*openFile) (int64, error) { return int64(int32Arg(a[0])), nil })
	}
	return k.dupTo(int32Arg(a[0]), int32Arg(a[1]), false)
}

func sysDup3(k *task, a *args) (int64, error) {
	if a[2]&^unix.O_CLOEXEC != 0 || int32Arg(a[0]) == int32Arg(a[1]) {
		return 0, unix.EINVAL
	}
	return k.dupTo(int32Arg(a[0]), int32Arg(a[1]), a[2] != 0)
}

func (k *task) dupTo(fd, to int, cloexec bool) (int64, error) {
	o, err := k.p.fds.get(fd)
	if err != nil {
		return 0, err
	}
	old, err := k.p.fds.put(o, to, cloexec)
	if err != nil {
		_ = o.release()
		return 0, err
	}
	if old != nil {
		k.p.leaves(old)
		_ = old.release()
	}
	return int64(to), nil
}

func sysPipe(k *task, a *args) (int64, error)  { return k.pipe(a[0], 0) }
func sysPipe2(k *task, a *args) (int64, error) { return k.pipe(a[0], int32Arg(a[1])) }

func (k *task) pipe(addr uint64, flags int) (int64, error) {
	if flags&^(unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_DIRECT) != 0 {
		return 0, unix.EINVAL
	}
	p := newPipe()
	return k.pair(addr, flags,
		newOpenFile(pipeReader{pipe: p}, "", unix.O_RDONLY|flags&unix.O_NONBLOCK),
		newOpenFile(pipeWriter{pipe: p}, "", unix.O_WRONLY|flags&unix.O_NONBLOCK))
}

// pair gives two new files numbers and stores them.
func (k *task) pair(addr uint64, flags int, a, b *openFile) (int64, error) {
	cloexec := flags&unix.O_CLOEXEC != 0
	x, err := k.p.fds.add(a, 0, cloexec)
	if err != nil {
		_, _ = a.release(), b.release()
		return 0, err
	}
	y, err := k.p.fds.add(b, 0, cloexec)
	if err != nil {
		_ = b.release()
		k.drop(x)
		return 0, err
	}
	var out [8]byte
	le.PutUint32(out[:], uint32(x))
	le.PutUint32(out[4:], uint32(y))
	if err := k.write(addr, out[:]); err != nil {
		k.drop(x)
		k.drop(y)
		return 0, err
	}
	return 0, nil
}

// drop closes a descriptor that was just made.
func (k *task) drop(fd int) {
	if o, err := k.p.fds.remove(fd); err == nil {
		_ = o.release()
	}
}

// sendfile and copy_file_range copy through a chunk of ours.
func sysSendfile(k *task, a *args) (int64, error) {
	return k.copyFile(a[1], a[0], a[2], 0, a[3])
}

func sysCopyFileRange(k *task, a *args) (int64, error) {
	if a[5] != 0 {
		return 0, unix.EINVAL
	}
	return k.copyFile(a[0], a[2], a[1], a[3], a[4])
}

// sysSplice moves what there is between a pipe and something else, through a chunk of
// ours as well.
func sysSplice(k *task, a *args) (int64, error) {
	const move, nonblock, more, gift = 1, 2, 4, 8
	if a[5]&^(move|nonblock|more|gift) != 0 {
		return 0, unix.EINVAL
	}
	in, inPos, out, outPos := a[0], a[1], a[2], a[3]
	return k.forReading(in, func(from *openFile) (int64, error) {
		return k.forWriting(out, func(to *openFile) (int64, error) {
			offs := [2]int64{ownPosition, ownPosition}
			pipes := 0
			for i, o := range []*openFile{from, to} {
				at := []uint64{inPos, outPos}[i]
				_, isPipe := o.file.(interface{ capacity() int })
				if isPipe {
					pipes++
				}
				if at == 0 {
					continue
				}
				if isPipe {
					return 0, unix.ESPIPE
				}
				v, err := k.p.mem.Load64(uint32(at))
				if err != nil {
					return 0, err
				}
				if _, err := position(o, v); err != nil {
					return 0, err
				}
				offs[i] = int64(v)
			}
			if pipes == 0 || to.getFlags()&unix.O_APPEND != 0 {
				return 0, unix.EINVAL
			}
			buf := chunks.Get().(*[chunkSize]byte)
			defer chunks.Put(buf)
			// No more than a pipe takes at once: what was read must not be lost.
			want := buf[:min(a[4], pipeAtomic)]
			if len(want) == 0 {
				return 0, nil
			}
			wait := func(o *openFile, events int16, f func() (int, error)) (int, error) {
				if a[5]&nonblock != 0 {
					return f()
				}
				return k.transfer(o, events, f)
			}
			if p, ok := to.file.(waitable); ok {
				// Room first, for the same reason.
				if _, err := wait(to, unix.POLLOUT, func() (int, error) {
					if p.ready(unix.POLLOUT) == 0 {
						return 0, unix.EAGAIN
					}
					return 0, nil
				}); err != nil {
					return 0, err
				}
			}
			n, err := wait(from, unix.POLLIN, func() (int, error) {
				if offs[0] == ownPosition {
					return from.file.Read(want)
				}
				return from.file.ReadAt(want, offs[0])
			})
			if err != nil || n == 0 {
				return 0, err
			}
			for done := 0; done < n; {
				m, err := k.transfer(to, unix.POLLOUT, func() (int, error) {
					if offs[1] == ownPosition {
						return to.file.Write(want[done:n])
					}
					return to.file.WriteAt(want[done:n], offs[1]+int64(done))
				})
				if err != nil {
					return 0, err
				}
				done += m
			}
			for i, at := range []uint64{inPos, outPos} {
				if at != 0 {
					if err := k.store64(at, uint64(offs[i]+int64(n))); err != nil {
						return 0, err
					}
				}
			}
			return int64(n), nil
		})
	})
}

// copyFile copies up to n bytes. inPos and outPos, when not 0, are where the
// offsets to be used instead of the files' own are, and are updated.
func (k *task) copyFile(in, out, inPos, outPos, n uint64) (int64, error) {
	return k.forReading(in, func(from *openFile) (int64, error) {
		return k.forWriting(out, func(to *openFile) (int64, error) {
			offs := [2]int64{ownPosition, ownPosition}
			for i, at := range []uint64{inPos, outPos} {
				if at == 0 {
					continue
				}
				v, err := k.p.mem.Load64(uint32(at))
				if err != nil {
					return 0, err
				}
				if int64(v) < 0 {
					return 0, unix.EINVAL
				}
				offs[i] = int64(v)
			}
			if from.stream() {
				return 0, unix.EINVAL
			}
			if to.getFlags()&unix.O_APPEND != 0 {
				return 0, unix.EBADF
			}
			total, err := k.copyChunks(from, to, &offs, int64(min(n, maxTransfer)))
			for i, at := range []uint64{inPos, outPos} {
				if at != 0 && total > 0 {
					if err := k.store64(at, uint64(offs[i])); err != nil {
						return 0, err
					}
				}
			}
			if total > 0 {
				return total, nil
			}
			return 0, err
		})
	})
}

func (k *task) copyChunks(from, to *openFile, offs *[2]int64, left int64) (total int64, err error) {
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for left > 0 {
		want := buf[:min(left, chunkSize)]
		var n int
		if offs[0] == ownPosition {
			n, err = from.file.Read(want)
		} else {
			n, err = from.file.ReadAt(want, offs[0])
		}
		if err != nil || n == 0 {
			return total, err
		}
		done := 0
		for done < n {
			var m int
			m, err = k.transfer(to, unix.POLLOUT, func() (int, error) {
				if offs[1] == ownPosition {
					return to.file.Write(want[done:n])
				}
				return to.file.WriteAt(want[done:n], offs[1])
			})
			if offs[1] != ownPosition {
				offs[1] += int64(m)
			}
			done += m
			if err != nil || m == 0 {
				break
			}
		}
		if offs[0] != ownPosition {
			offs[0] += int64(done)
		} else if done < n {
			_, _ = from.file.Seek(int64(done-n), unix.SEEK_CUR)
		}
		total += int64(done)
		left -= int64(done)
		if done < n {
			return total, err
		}
	}
	return total, nil
}
