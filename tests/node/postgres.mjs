// postgres.js: one connection of its pool; statements with values are prepared, `begin` takes a function.

import { readFileSync } from "node:fs";
import postgres from "postgres";
import { place, play, tls } from "./playing.mjs";

const { version } = JSON.parse(readFileSync(new URL("node_modules/postgres/package.json", import.meta.url), "utf8"));
// it compares certificates with "localhost" where the host is an address, unless it is told
const sql = postgres({ ...place, ssl: tls && { ...tls, host: place.host }, max: 1, onnotice: () => {} });
await sql`SELECT 1`;

class Undo extends Error {}

let inside = sql;
let waiting;
let over;
let end;

async function finish(undo) {
  inside = sql;
  end(undo);
  await over.catch((error) => {
    if (!(error instanceof Undo)) throw error;
  });
}

await play({
  hello: () => ({ driver: `postgres.js ${version}`, tls: Boolean(tls) }),
  read: async (text) => await sql.unsafe(text).values(),
  prepared: async (text, value) => await inside.unsafe(text, [value], { prepare: true }).values(),
  async change(text, value) {
    waiting = inside.unsafe(text, [value], { prepare: true });
    return (await waiting).count;
  },
  begin: () =>
    new Promise((begun) => {
      over = sql.begin(async (transaction) => {
        inside = transaction;
        begun();
        if (await new Promise((resolve) => (end = resolve))) throw new Undo();
      });
    }),
  commit: () => finish(false),
  rollback: () => finish(true),
  cancel: () => waiting.cancel(),
  end: () => sql.end(),
});
