package statictoken

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxFileBytes is the largest token file that is read. A hashed entry takes some 150 bytes, so that this is a hundred
// thousand entries; more is a file of another kind, and reading it would only take memory.
const MaxFileBytes = 16 << 20

// minColumns are token, user name and uid (FILE-1).
const minColumns = 3

// record is one line of the file as Kubernetes reads it. Its strings share memory with the token: whatever outlives
// the parsing has to be cloned.
type record struct {
	line       int
	start, end int // where the token's column stands in the file, quotes included
	token      string
	username   string
	uid        string
	groups     []string
}

// scan reads the lines of a token file by Kubernetes' rules (FILE-1 to FILE-3) and adds what it does not like to f.
// Lines with an empty token are left out.
func scan(data []byte, f *findings) []record {
	if len(data) > MaxFileBytes {
		f.problem(0, "", fmt.Sprintf("the file is larger than %d bytes: is it a token file?", MaxFileBytes))
		return nil
	}
	if name := byteOrderMark(data); name != "" {
		// kube-apiserver takes the mark as part of the first token, which then works for nobody.
		f.problem(1, "", "the file starts with a byte order mark ("+name+"): save it as UTF-8 without one")
		return nil
	}
	lines := lineStarts(data)
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1

	var records []record
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return records
		}
		if err != nil {
			line, text := describe(err)
			f.problem(line, "", text)
			continue
		}
		line, column := reader.FieldPos(0)
		if len(fields) < minColumns {
			f.problem(line, "", tooFewColumns(fields))
			continue
		}
		if fields[0] == "" {
			f.warnf(line, "the token is empty: the line is skipped")
			continue
		}
		r := record{line: line, token: fields[0], username: fields[1], uid: fields[2]}
		if len(fields) > minColumns {
			r.groups = strings.Split(fields[minColumns], ",") // not trimmed: FILE-3
		}
		r.start = lines[line-1] + column - 1
		nextLine, nextColumn := reader.FieldPos(1)
		r.end = lines[nextLine-1] + nextColumn - 1 - len(",")
		records = append(records, r)
	}
}

// describe says what the CSV reader did not like. It never gets at the text of a field.
func describe(err error) (line int, text string) {
	parse, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		return 0, "the file cannot be read as CSV"
	}
	switch {
	case errors.Is(parse.Err, csv.ErrBareQuote):
		return parse.StartLine, `a quotation mark stands inside a column that does not start with one: put the column in quotation marks and double those inside`
	case errors.Is(parse.Err, csv.ErrQuote) && parse.Line > parse.StartLine:
		return parse.StartLine, `a quotation mark is opened and never closed: is the file complete?`
	case errors.Is(parse.Err, csv.ErrQuote):
		return parse.StartLine, `a quotation mark is not closed, or is followed by something other than a comma`
	default:
		return parse.StartLine, "the line is not valid CSV"
	}
}

func tooFewColumns(fields []string) string {
	text := fmt.Sprintf("there are %d columns, and at least %d are needed: token, user name, uid", len(fields), minColumns)
	if strings.HasPrefix(fields[0], "#") {
		text += " (the format has no comments)"
	}
	return text
}

// byteOrderMark names the byte order mark that data starts with, if any.
func byteOrderMark(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return "UTF-8"
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return "UTF-16"
	default:
		return ""
	}
}

// lineStarts gives the offset at which every line starts, as the CSV reader counts lines: they end at "\n" only.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}
