// pgx, as Debian has it. The rules are those of playing.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

type said map[string]interface{}

type driver struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

func connect(ctx context.Context) (*pgx.Conn, error) {
	place := fmt.Sprintf("host=%s port=%s dbname=shop user=hoop", os.Getenv("DRIVER_HOST"), os.Getenv("DRIVER_PORT"))
	if ca := os.Getenv("DRIVER_CA"); ca != "" {
		place += " sslmode=verify-full sslrootcert=" + ca
	} else {
		place += " sslmode=disable"
	}
	config, err := pgx.ParseConfig(place)
	if err != nil {
		return nil, err
	}
	config.Password = os.Getenv("DRIVER_TOKEN")
	return pgx.ConnectConfig(ctx, config)
}

func main() {
	ctx := context.Background()
	conn, err := connect(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	d := &driver{conn: conn}
	out := json.NewEncoder(os.Stdout)
	out.Encode(said{"driver": "pgx v4", "tls": os.Getenv("DRIVER_CA") != ""})
	commands := make(chan []string, 16)
	go d.listen(ctx, commands)
	for words := range commands {
		answer, err := d.answer(ctx, words)
		if err != nil {
			answer = explained(err)
		}
		out.Encode(answer)
	}
	conn.Close(ctx)
}

func (d *driver) listen(ctx context.Context, commands chan<- []string) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "cancel" {
			// a cancelled context would close the connection as well: that is pgx's own rule
			d.conn.PgConn().CancelRequest(ctx)
		} else {
			commands <- strings.Split(lines.Text(), "\t")
		}
	}
	close(commands)
}

func explained(err error) said {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return said{"error": pgErr.Code, "message": err.Error()}
	}
	return said{"error": fmt.Sprintf("%T", err), "message": err.Error()}
}

func (d *driver) answer(ctx context.Context, words []string) (said, error) {
	switch words[0] {
	case "read":
		return rows(d.conn.Query(ctx, words[1], pgx.QuerySimpleProtocol(true)))
	case "prepared":
		value, _ := strconv.Atoi(words[2])
		return rows(d.conn.Query(ctx, strings.Replace(words[1], "{}", "$1", 1), value))
	case "change":
		return d.change(ctx, words[1], words[2])
	case "begin":
		tx, err := d.conn.Begin(ctx)
		d.tx = tx
		return said{}, err
	case "commit":
		return said{}, d.tx.Commit(ctx)
	}
	return said{}, d.tx.Rollback(ctx)
}

func (d *driver) change(ctx context.Context, sql, value string) (said, error) {
	number, _ := strconv.Atoi(value)
	tag, err := d.conn.Exec(ctx, strings.Replace(sql, "{}", "$1", 1), number)
	return said{"count": tag.RowsAffected()}, err
}

func rows(found pgx.Rows, err error) (said, error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	all := [][]interface{}{}
	for found.Next() {
		values, err := found.Values()
		if err != nil {
			return nil, err
		}
		all = append(all, values)
	}
	return said{"rows": all}, found.Err()
}
