// node-postgres: a query with a name is a prepared statement. Its cancel takes a connection of its own, in plain text.

import { createRequire } from "node:module";
import pg from "pg";
import { place, play, tls } from "./playing.mjs";

const { version } = createRequire(import.meta.url)("pg/package.json");
const client = new pg.Client({ ...place, ssl: tls });
await client.connect();

let waiting;

await play({
  hello: () => ({ driver: `node pg ${version}`, tls: Boolean(client.connection.stream.encrypted) }),
  read: async (text) => (await client.query({ text, rowMode: "array" })).rows,
  prepared: async (text, value) =>
    (await client.query({ name: `p ${text}`.slice(0, 60), text, values: [value], rowMode: "array" })).rows,
  async change(text, value) {
    return await new Promise((resolve, reject) => {
      waiting = new pg.Query({ text, values: [value] }, (error, result) =>
        error ? reject(error) : resolve(result.rowCount),
      );
      client.query(waiting);
    });
  },
  begin: () => client.query("BEGIN"),
  commit: () => client.query("COMMIT"),
  rollback: () => client.query("ROLLBACK"),
  cancel: () => new pg.Client(place).cancel(client, waiting),
  end: () => client.end(),
});
