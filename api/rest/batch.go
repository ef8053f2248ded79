package rest

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/diaphone-dev/diaphone"
	"github.com/diaphone-dev/diaphone/api"
	"github.com/diaphone-dev/diaphone/api/wire"
	"github.com/diaphone-dev/diaphone/gateway"
)

// newBatch is wire.NewBatch whose messages are read one by one, so that a fault in
// one is no fault of the others.
type newBatch struct {
	Messages []stdjson.RawMessage `json:"messages"`
}

func (d *Door) publishBatch(c *call) error {
	body, err := readBody(c, MaxBatchBody)
	if err != nil {
		return err
	}
	header, err := c.keyHeader()
	if err != nil {
		return err
	}
	in, err := decode[newBatch](body)
	if err != nil {
		return err
	}
	if n := len(in.Messages); n == 0 || n > gateway.MaxBatch {
		return diaphone.InvalidField("/messages", "out_of_range", "a batch has 1 to %d messages, this one has %d", gateway.MaxBatch, n)
	}
	results := d.publishEach(c, readBatch(c, in.Messages, header))
	if fault := gatewayFault(results); fault != nil {
		return fault
	}
	return c.reply(http.StatusOK, d.batchOut(c, results))
}

// readBatch reads each message; what cannot be published has its error instead.
func readBatch(c *call, messages []stdjson.RawMessage, header string) []batchItem {
	items := make([]batchItem, len(messages))
	keys := batchKeys{header: header, first: map[string]int{}}
	for i, raw := range messages {
		item := &items[i]
		m, own, err := readMessage(c, raw)
		if err != nil {
			item.err = err
			continue
		}
		key, err := keys.of(i, own)
		if err != nil {
			item.err = err
			continue
		}
		item.publication.Message = m
		if key != "" {
			item.publication.Idempotency = c.idempotency(key, raw)
		}
	}
	return items
}

// batchKeys gives the messages of a batch their idempotency keys.
type batchKeys struct {
	header string         // for messages without a key of their own; empty: none
	first  map[string]int // where each key stood first
}

func (k *batchKeys) of(i int, own string) (string, error) {
	if own == "" && k.header == "" {
		return "", nil
	}
	if own == "" { // one that no caller can give: a zero byte is not printable
		return fmt.Sprintf("%s\x00%d", k.header, i), nil
	}
	if earlier, twice := k.first[own]; twice {
		return "", diaphone.InvalidField("/idempotency_key", "duplicate", "message %d of this batch has the same key", earlier)
	}
	k.first[own] = i
	return own, nil
}

// batchItem is one message on its way: err, if there is one, is what keeps it.
type batchItem struct {
	publication gateway.Publication
	published   gateway.Published
	err         error
}

func readMessage(c *call, raw []byte) (m *diaphone.Message, key string, err error) {
	if len(raw) > MaxMessageBody {
		return nil, "", &diaphone.Error{
			Code: diaphone.TooLarge, Detail: fmt.Sprintf("the message has more than %d bytes", MaxMessageBody),
			Fields: []diaphone.FieldError{{Code: "too_large", Detail: fmt.Sprintf("at most %d bytes", MaxMessageBody)}},
		}
	}
	in, err := decode[wire.BatchMessage](raw)
	if err != nil {
		return nil, "", err
	}
	if in.IdempotencyKey != "" && !usableKey(in.IdempotencyKey) {
		return nil, "", diaphone.InvalidField("/idempotency_key", "malformed", "a key has 1 to %d printable ASCII characters", MaxIdempotencyKey)
	}
	m, err = messageOf(c.app.ID, &in.NewMessage)
	return m, in.IdempotencyKey, err
}

// publishEach publishes the items without an error, as far as the app's rate goes, and
// notes what became of them.
func (d *Door) publishEach(c *call, items []batchItem) []batchItem {
	var batch []gateway.Publication
	var at []*batchItem
	for i := range items {
		if items[i].err == nil {
			items[i].err = d.admit(c)
		}
		if items[i].err == nil {
			batch = append(batch, items[i].publication)
			at = append(at, &items[i])
		}
	}
	for i, r := range d.gateway.PublishBatch(c.ctx(), batch) {
		at[i].published, at[i].err = r.Published, r.Err
	}
	return items
}

// gatewayFault is the error to answer the whole batch with, when all of it failed for
// reasons of the gateway's: whoever repeats requests by their status does right then.
func gatewayFault(items []batchItem) error {
	for _, item := range items {
		if item.err == nil || api.StatusOf(item.err) < http.StatusInternalServerError {
			return nil
		}
	}
	return items[0].err
}

func (d *Door) batchOut(c *call, items []batchItem) wire.Batch {
	out := wire.Batch{Data: make([]wire.BatchResult, len(items))}
	for i, item := range items {
		if item.err == nil {
			p := publishedOut(item.published)
			out.Data[i] = wire.BatchResult{Status: http.StatusAccepted, Message: &p, Replayed: item.published.Replayed}
			continue
		}
		out.Refused++
		problem := api.ProblemOf(c, within(fmt.Sprintf("/messages/%d", i), item.err))
		if problem.Status == http.StatusInternalServerError { // else nobody would hear of the cause
			d.log.ErrorContext(c.ctx(), "publish a message of a batch", "request_id", problem.RequestID, "error", item.err)
		}
		out.Data[i] = wire.BatchResult{Status: problem.Status, Problem: &problem}
	}
	return out
}

// within turns pointers into a message into pointers into the body.
func within(place string, err error) error {
	var e *diaphone.Error
	if !errors.As(err, &e) {
		return err
	}
	moved := *e
	moved.Fields = make([]diaphone.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		f.Pointer = place + f.Pointer
		moved.Fields[i] = f
	}
	return &moved
}
