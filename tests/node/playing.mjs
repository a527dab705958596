// What the JavaScript programs share; the rules are those of tests/drivers/playing.py.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const { DRIVER_HOST: host, DRIVER_PORT: port, DRIVER_TOKEN: password, DRIVER_CA: ca } = process.env;

export const place = { host, port: Number(port), user: "hoop", database: "shop", password };
export const tls = ca ? { ca: readFileSync(ca, "utf8") } : false;

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

async function answer(driver, [what, sql, value]) {
  try {
    switch (what) {
      case "read":
        return { rows: await driver.read(sql) };
      case "prepared":
        return { rows: await driver.prepared(sql.replace("{}", "$1"), Number(value)) };
      case "change":
        return { count: await driver.change(sql.replace("{}", "$1"), Number(value)) };
      default:
        await driver[what]();
        return {};
    }
  } catch (error) {
    return { error: error.code ?? error.name, message: error.message };
  }
}

/** Answer commands until standard input ends; `driver` is one connection by one driver. */
export async function play(driver) {
  say(driver.hello());
  let last = Promise.resolve();
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "cancel") driver.cancel();
    else last = last.then(async () => say(await answer(driver, line.split("\t"))));
  }
  await last;
  await driver.end();
}
