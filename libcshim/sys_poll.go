package libcshim

import (
	"time"

	"golang.org/x/sys/unix"
)

const pollfdSize = 8

func sysPoll(k *task, a *args) (int64, error) {
	var deadline time.Time
	if ms := int32Arg(a[2]); ms >= 0 {
		deadline = k.until(unix.NsecToTimespec(int64(ms) * 1e6))
	}
	return k.poll(a[0], a[1], deadline)
}

func sysPpoll(k *task, a *args) (int64, error) {
	var deadline time.Time
	if uint32(a[2]) != 0 {
		ts, err := k.timespec(a[2])
		if err != nil {
			return 0, err
		}
		deadline = k.until(ts)
	}
	if uint32(a[3]) != 0 {
		if a[4] != sigsetSize {
			return 0, unix.EINVAL
		}
		set, err := k.sigsetAt(a[3])
		if err != nil {
			return 0, err
		}
		k.waitMask(set)
	}
	n, err := k.poll(a[0], a[1], deadline)
	if err != errRestartUnlessHandled {
		k.endWaitMask()
	}
	return n, err
}

func (k *task) poll(addr, count uint64, deadline time.Time) (int64, error) {
	if count > uint64(k.p.fds.limit) {
		return 0, unix.EINVAL
	}
	raw := make([]byte, count*pollfdSize)
	if err := k.read(addr, raw); err != nil {
		return 0, err
	}
	items := make([]waitItem, 0, count)
	index := make([]int, 0, count)
	bad := 0
	for i := range int(count) {
		b := raw[i*pollfdSize:]
		le.PutUint16(b[6:], 0)
		fd := int(int32(le.Uint32(b)))
		if fd < 0 {
			continue
		}
		o, err := k.p.fds.get(fd)
		if err != nil {
			le.PutUint16(b[6:], unix.POLLNVAL)
			bad++
			continue
		}
		defer o.release()
		items = append(items, waitItem{file: o.file, events: int16(le.Uint16(b[4:]))})
		index = append(index, i)
	}
	if bad > 0 {
		deadline = time.Now() // only a look
	}
	n, err := k.waitAny(items, deadline)
	if err == errInterrupted {
		return 0, k.interrupted(deadline)
	}
	if err != nil {
		return 0, err
	}
	for j, it := range items {
		le.PutUint16(raw[index[j]*pollfdSize+6:], uint16(it.revents))
	}
	return int64(n + bad), k.write(addr, raw)
}

func sysSelect(k *task, a *args) (int64, error) {
	var deadline time.Time
	if uint32(a[4]) != 0 {
		var b [16]byte
		if err := k.read(a[4], b[:]); err != nil {
			return 0, err
		}
		sec, usec := int64(le.Uint64(b[0:])), int64(le.Uint64(b[8:]))
		if sec < 0 || usec < 0 {
			return 0, unix.EINVAL
		}
		deadline = k.until(unix.Timespec{Sec: sec + usec/1e6, Nsec: usec % 1e6 * 1000})
	}
	return k.selectFDs(a, deadline)
}

func sysPselect6(k *task, a *args) (int64, error) {
	var deadline time.Time
	if uint32(a[4]) != 0 {
		ts, err := k.timespec(a[4])
		if err != nil {
			return 0, err
		}
		deadline = k.until(ts)
	}
	if uint32(a[5]) != 0 {
		// A pointer to a pair: the set's address and its size.
		var b [16]byte
		if err := k.read(a[5], b[:]); err != nil {
			return 0, err
		}
		if at := le.Uint64(b[0:]); uint32(at) != 0 {
			if le.Uint64(b[8:]) != sigsetSize {
				return 0, unix.EINVAL
			}
			set, err := k.sigsetAt(at)
			if err != nil {
				return 0, err
			}
			k.waitMask(set)
		}
	}
	n, err := k.selectFDs(a, deadline)
	if err != errRestartUnlessHandled {
		k.endWaitMask()
	}
	return n, err
}

// What readiness makes a descriptor a member of each of select's three sets.
var selectEvents = [3]int16{
	unix.POLLIN | pollRdNorm | unix.POLLHUP | unix.POLLERR,
	unix.POLLOUT | pollWrNorm | unix.POLLERR,
	unix.POLLPRI,
}

const maxSelect = 1024

func (k *task) selectFDs(a *args, deadline time.Time) (int64, error) {
	n := int32Arg(a[0])
	if n < 0 {
		return 0, unix.EINVAL
	}
	n = min(n, maxSelect)
	size := (n + 63) / 64 * 8
	var sets [3][]byte
	for i := range sets {
		if uint32(a[1+i]) == 0 {
			continue
		}
		sets[i] = make([]byte, size)
		if err := k.read(a[1+i], sets[i]); err != nil {
			return 0, err
		}
	}
	var items []waitItem
	var fds []int
	for fd := range n {
		var events int16
		for i, set := range sets {
			if set != nil && set[fd/8]>>(fd%8)&1 != 0 {
				events |= selectEvents[i] &^ (unix.POLLHUP | unix.POLLERR)
			}
		}
		if events == 0 {
			continue
		}
		o, err := k.p.fds.get(fd)
		if err != nil {
			return 0, err
		}
		defer o.release()
		items = append(items, waitItem{file: o.file, events: events})
		fds = append(fds, fd)
	}
	if _, err := k.waitAny(items, deadline); err != nil {
		if err == errInterrupted {
			err = k.interrupted(deadline)
		}
		return 0, err
	}
	count := int64(0)
	for i, set := range sets {
		if set == nil {
			continue
		}
		out := make([]byte, size)
		for j, fd := range fds {
			if set[fd/8]>>(fd%8)&1 != 0 && items[j].revents&selectEvents[i] != 0 {
				out[fd/8] |= 1 << (fd % 8)
				count++
			}
		}
		if err := k.write(a[1+i], out); err != nil {
			return 0, err
		}
	}
	return count, nil
}
