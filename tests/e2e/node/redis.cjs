// A producer with ioredis: pushes to the list and to a stream and waits for what becomes of it.
// usage: node redis.cjs URL; prints one line of JSON with the results and how long each push took to be picked up (ms)
"use strict";
const Redis = require("ioredis");

async function until(what, ms) {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const got = await what();
    if (got) return got;
  }
  return null;
}

(async () => {
  const redis = new Redis(process.argv[2]);
  const picked = async (id, push) => {
    const start = process.hrtime.bigint();
    await push();
    await until(() => redis.exists(`cubit:job:${id}`), 5000);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
  await redis.ping();
  const list = await picked("io_list", () => redis.lpush("execution", JSON.stringify(
    { id: "io_list", user_id: "u", name: "n", cube_type: "python", source: "print('list')" })));
  const stream = await picked("io_stream", () => redis.xadd("cubit:jobs", "*", "job", JSON.stringify(
    { id: "io_stream", runtime: "bash", source: "echo stream" })));
  const out = {};
  for (const id of ["io_list", "io_stream"])
    out[id] = await until(() => redis.hget(`cubit:result:${id}`, "stdout"), 20000);
  console.log(JSON.stringify({ ...out, list: Math.round(list), stream: Math.round(stream) }));
  await redis.quit();
})().catch((e) => { console.error(e); process.exit(1); });
