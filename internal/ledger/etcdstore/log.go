package etcdstore

import (
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// bridge brings what etcd finds wrong into the structured log.
type bridge struct {
	logger *slog.Logger
	fields []zapcore.Field
}

// bridged returns a logger for etcd. What etcd takes for fatal ends the process after it was logged: etcd knows no other way.
func bridged(logger *slog.Logger) *zap.Logger { return zap.New(&bridge{logger: logger}) }

// Enabled implements zapcore.Core.
func (*bridge) Enabled(level zapcore.Level) bool { return level >= zapcore.ErrorLevel }

// With implements zapcore.Core.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{logger: b.logger, fields: append(slices.Clip(b.fields), fields...)}
}

// Check implements zapcore.Core.
func (b *bridge) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(entry.Level) {
		return checked.AddCore(entry, b)
	}
	return checked
}

// Write implements zapcore.Core.
func (b *bridge) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	details := zapcore.NewMapObjectEncoder()
	for _, some := range [][]zapcore.Field{b.fields, fields} {
		for _, field := range some {
			field.AddTo(details)
		}
	}
	cause, detail := slog.String("cause", entry.Message), slog.Any("detail", details.Fields)
	if entry.Level > zapcore.ErrorLevel {
		b.logger.Error("the embedded etcd cannot go on, and the gate with it", cause, detail)
		return nil
	}
	b.logger.Error("the embedded etcd found something wrong", cause, detail)
	return nil
}

// Sync implements zapcore.Core.
func (*bridge) Sync() error { return nil }

var _ zapcore.Core = (*bridge)(nil)
