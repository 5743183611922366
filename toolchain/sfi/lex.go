package sfi

import "strings"

// A lexer cuts source text into statements: one per line or per `;`, without
// comments. It allocates only for a statement with a comment in its middle.
type lexer struct {
	src  string
	pos  int
	line int // physical line of pos, from 1

	// Position according to `# line "file"` markers.
	name    string // of the input itself
	file    string // "" when no marker is in force
	fileOff int    // file line = physical line + fileOff
}

func (l *lexer) reset(src, name string) {
	*l = lexer{src: src, line: 1, name: name}
}

// special marks the bytes at which the fast scan of a line must stop.
var special = [256]bool{'\n': true, '#': true, ';': true, '/': true, '"': true, '\'': true}

var space = [256]bool{' ': true, '\t': true, '\r': true, '\v': true, '\f': true}

func trim(s string) string {
	for len(s) > 0 && space[s[0]] {
		s = s[1:]
	}
	for len(s) > 0 && space[s[len(s)-1]] {
		s = s[:len(s)-1]
	}
	return s
}

// next returns the next statement that is not empty and its physical line.
func (l *lexer) next() (stmt string, line int, ok bool) {
	for l.pos < len(l.src) {
		src := l.src
		i := l.pos
		for i < len(src) && space[src[i]] {
			i++
		}
		start := i
		line = l.line
		for i < len(src) && !special[src[i]] {
			i++
		}
		if i >= len(src) || src[i] == '\n' {
			l.pos = i + 1
			l.line++
			end := i
			for end > start && space[src[end-1]] {
				end--
			}
			if end == start {
				continue
			}
			return src[start:end], line, true
		}
		if src[i] == '#' && i == start {
			l.marker(i)
			continue
		}
		s := l.slow(start, i, &line)
		if s == "" {
			continue
		}
		return s, line, true
	}
	return "", 0, false
}

// marker handles a line that begins with '#': a line marker or a comment.
func (l *lexer) marker(i int) {
	end := strings.IndexByte(l.src[i:], '\n')
	if end < 0 {
		end = len(l.src)
	} else {
		end += i
	}
	s := trim(l.src[i+1 : end])
	l.pos = end + 1
	l.line++
	if strings.HasPrefix(s, "line ") {
		s = trim(s[5:])
	}
	n, k := 0, 0
	for k < len(s) && s[k] >= '0' && s[k] <= '9' && n < 1<<28 {
		n = n*10 + int(s[k]-'0')
		k++
	}
	if k == 0 {
		return
	}
	s = trim(s[k:])
	if len(s) < 2 || s[0] != '"' {
		return
	}
	q := strings.IndexByte(s[1:], '"')
	if q < 0 {
		return
	}
	l.file = s[1 : 1+q]
	l.fileOff = n - l.line // n is the number of the line after the marker
}

// slow reads a statement with quotes, comments or separators in it. i is the
// first such byte. line becomes that of the first byte behind a leading comment.
func (l *lexer) slow(start, i int, line *int) string {
	src := l.src
	var buf []byte // text before the current piece, when a comment was cut out
	cut := false
	piece := start
	finish := func(end int) string {
		if !cut {
			return trim(src[start:end])
		}
		return trim(string(append(buf, src[piece:end]...)))
	}
	for i < len(src) {
		switch src[i] {
		case '\n':
			l.pos = i + 1
			l.line++
			return finish(i)
		case ';':
			l.pos = i + 1
			return finish(i)
		case '#':
			s := finish(i)
			e := strings.IndexByte(src[i:], '\n')
			if e < 0 {
				l.pos = len(src)
			} else {
				l.pos = i + e + 1
				l.line++
			}
			return s
		case '/':
			if strings.HasPrefix(src[i:], "//") {
				s := finish(i)
				e := strings.IndexByte(src[i:], '\n')
				if e < 0 {
					l.pos = len(src)
				} else {
					l.pos = i + e + 1
					l.line++
				}
				return s
			}
			if strings.HasPrefix(src[i:], "/*") {
				e := strings.Index(src[i+2:], "*/")
				if e < 0 {
					e = len(src) - i - 2
				}
				buf = append(buf, src[piece:i]...)
				buf = append(buf, ' ')
				cut = true
				i = min(i+2+e+2, len(src))
				l.line += strings.Count(src[piece:i], "\n")
				piece = i
				if trim(string(buf)) == "" {
					*line = l.line
				}
				continue
			}
			i++
		case '"':
			i++
			for i < len(src) && src[i] != '"' && src[i] != '\n' {
				if src[i] == '\\' {
					i++
				}
				i++
			}
			if i < len(src) && src[i] == '"' {
				i++
			}
			i = min(i, len(src))
		case '\'':
			// A character constant: 'x, 'x' or '\n.
			i++
			if i < len(src) && src[i] == '\\' {
				i++
			}
			if i < len(src) && src[i] != '\n' {
				i++
			}
			if i < len(src) && src[i] == '\'' {
				i++
			}
		default:
			i++
		}
	}
	l.pos = len(src)
	return finish(len(src))
}

var identByte = func() (t [256]bool) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-32] = true, true
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	t['_'], t['.'], t['$'] = true, true, true
	for c := 128; c < 256; c++ {
		t[c] = true
	}
	return
}()

// label splits a label off a statement: "name: rest". Quoted names are
// returned with their quotes.
func label(s string) (name, rest string, ok bool) {
	i := 0
	if s[0] == '"' {
		i = strings.IndexByte(s[1:], '"')
		if i < 0 {
			return "", s, false
		}
		i += 2
	} else {
		for i < len(s) && identByte[s[i]] {
			i++
		}
	}
	if i == 0 {
		return "", s, false
	}
	j := i
	for j < len(s) && space[s[j]] {
		j++
	}
	if j >= len(s) || s[j] != ':' {
		return "", s, false
	}
	return s[:i], trim(s[j+1:]), true
}

// word splits the first word off a statement.
func word(s string) (w, rest string) {
	for i := 0; i < len(s); i++ {
		if space[s[i]] {
			return s[:i], trim(s[i:])
		}
	}
	return s, ""
}
